# Makes the networks of the tests, which are in the repository so that the tests need no Python:
#
#     scripts/python tests/networks/make.py tests/networks
#
# All are for the built-in digits, 8 x 8 grey pixels of ten classes, unless their name says that they do not fit.
import sys
import zipfile
from pathlib import Path

import torch
from torch import nn

torch.manual_seed(0)


class Small(nn.Module):
    """Every sort of state: parameters, buffers of floats and integers, dropout; three channels."""

    def __init__(self, classes=10):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(8 * 16, classes))

    def forward(self, x):
        return self.head(self.features(x))


def save(net, name):
    """Without what only Python's tracebacks need, to be small."""
    path = Path(sys.argv[1]) / name
    net.save(str(path))
    with zipfile.ZipFile(path) as whole:
        entries = [(e, whole.read(e)) for e in whole.infolist() if not e.filename.endswith(".debug_pkl")]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as small:
        for entry, content in entries:
            small.writestr(zipfile.ZipInfo(entry.filename), content, entry.compress_type)


def linear(inputs, *more):
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 10), *more)


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = linear(64)

    def forward(self, x):
        return self.net(x), x


save(torch.jit.script(Small()), "small.pt")
save(torch.jit.script(Small(classes=3)), "three-classes.pt")
save(torch.jit.script(linear(64, nn.Softmax(dim=-1))), "probabilities.pt")
save(torch.jit.freeze(torch.jit.script(linear(64)).eval()), "frozen.pt")
save(torch.jit.script(linear(28 * 28)), "large-images.pt")
save(torch.jit.script(linear(64).half()), "half.pt")
save(torch.jit.script(Pair()), "pair.pt")

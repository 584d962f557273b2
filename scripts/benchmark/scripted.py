"""PyTorch's own training of a scripted network, as its users would at their best: channels_last, fused Adam.

    scripted.py make resnet18.pt
    scripted.py train resnet18.pt --epochs 3 --threads 2

The first makes the file that both sides train. The second prints a line of JSON: the seconds of each epoch of
5,000 pictures of 64 x 64 pixels, and the most memory that the process had, in bytes.
"""

import argparse
import json
import resource
import time

import torch

PICTURES, SIDE, CLASSES, BATCH = 5_000, 64, 10, 64


def make(path):
    import torchvision

    torch.manual_seed(0)
    torch.jit.script(torchvision.models.resnet18(num_classes=CLASSES)).save(path)


def train(path, epochs, threads):
    torch.set_num_threads(threads)
    network = torch.jit.load(path).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    pixels = torch.randint(0, 256, (PICTURES, 3, SIDE, SIDE), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (PICTURES,))
    seconds = []
    for _ in range(epochs):
        start, total = time.perf_counter(), torch.zeros(())
        for rows in torch.randperm(PICTURES).split(BATCH):
            inputs = (pixels[rows].float() / 255).contiguous(memory_format=torch.channels_last)
            loss = torch.nn.functional.cross_entropy(network(inputs), labels[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(rows)
        assert total.isfinite()
        seconds.append(time.perf_counter() - start)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "memory": most, "version": f"torch {torch.__version__}"}))


parser = argparse.ArgumentParser()
parser.add_argument("what", choices=["make", "train"])
parser.add_argument("path")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()
if options.what == "make":
    make(options.path)
else:
    train(options.path, options.epochs, options.threads)

"""Networks of torchvision and timm, with random weights: `make FOLDER` writes them, `check FOLDER` looks at what
fitch made of each in FOLDER/NAME: PyTorch's own module takes weights.safetensors, and computes what model.pt does."""

import json
import sys
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from torchvision import models

NETWORKS = {
    "resnet18": lambda: models.resnet18(num_classes=10),
    "mobilenet_v3_small": lambda: models.mobilenet_v3_small(num_classes=10),
    "efficientnet_b0": lambda: models.efficientnet_b0(num_classes=10),
    "timm": lambda: timm.create_model("mobilenetv3_small_050", num_classes=10, scriptable=True),
}

what, folder = sys.argv[1], Path(sys.argv[2])
torch.manual_seed(0)
torch.set_num_threads(1)
for name, make in NETWORKS.items():
    network = make()
    if what == "make":
        torch.jit.script(network).save(str(folder / f"{name}.pt"))
        continue
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.load_state_dict(load_file(folder / name / "weights.safetensors"), strict=True)
    counts = [value for key, value in network.state_dict().items() if key.endswith("num_batches_tracked")]
    assert counts and all(count.dtype == torch.int64 and count == 2 for count in counts), counts
    assert any((value != before[key]).any() for key, value in network.state_dict().items())
    extra = {"fitch.json": ""}
    model = torch.jit.load(str(folder / name / "model.pt"), _extra_files=extra)
    card = json.loads(extra["fitch.json"])
    assert card["network"]["class"] == type(network).__name__ and card["layers"] == "", card
    pixels = torch.randint(0, 17, (7, 8, 8), dtype=torch.uint8)
    network.eval()
    with torch.no_grad():
        expected = network((pixels.float() / 16)[:, None].expand(-1, 3, -1, -1))
        found, probabilities = model.logits(pixels), model(pixels)
    assert not model.training and torch.allclose(found, expected, rtol=1e-5, atol=1e-5), name
    assert torch.allclose(probabilities, expected.softmax(-1), atol=1e-6), name
print("all is well")

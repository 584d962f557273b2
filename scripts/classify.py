"""Classifies pictures with a model.pt that fitch wrote. It needs torch and Pillow, nothing of fitch's:

    python3 classify.py model.pt picture.png...

Pictures must look like the training images: of MNIST, bright ink on dark paper.
"""

import json
import sys

import torch
from PIL import Image

if len(sys.argv) < 3:
    sys.exit(__doc__)
card = {"fitch.json": ""}
model = torch.jit.load(sys.argv[1], map_location="cpu", _extra_files=card)
card = json.loads(card["fitch.json"])
height, width = card["input"]["shape"]
for name in sys.argv[2:]:
    picture = Image.open(name).convert("L").resize((width, height))
    values = torch.tensor(list(picture.tobytes())).view(1, height, width) / 255
    with torch.no_grad():
        probability, number = model(values)[0].max(0)
    print(f"{card['classes'][number]} {probability:.6f} {name}")

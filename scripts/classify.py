"""Classifies images with a model.pt that fitch wrote. It needs torch and Pillow, nothing of fitch's:

    python3 classify.py model.pt image.png...

Images must look like the training images: for MNIST, bright ink on dark paper.
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
shape = card["input"]["shape"]  # [height, width], with 3 before them in colour
if len(shape) == 1:
    sys.exit(f"{sys.argv[1]} takes rows of values, not images")
*channels, height, width = shape
for name in sys.argv[2:]:
    image = Image.open(name).convert("RGB" if channels else "L").resize((width, height))
    values = torch.tensor(list(image.tobytes())).view(height, width, -1).permute(2, 0, 1)
    with torch.no_grad():
        probability, index = model(values.reshape(1, *shape) / 255)[0].max(0)
    print(f"{card['classes'][index]} {probability:.6f} {name}")

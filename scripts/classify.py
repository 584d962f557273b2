"""Classifies images with a model.pt that fitch wrote. It needs torch and Pillow, nothing of fitch's:

    python3 classify.py model.pt image.png...

Images must look like the training images: for MNIST, bright ink on dark paper.
"""

import json
import sys

import torch
from PIL import Image, ImageOps

if len(sys.argv) < 3:
    sys.exit(__doc__)
card = {"fitch.json": ""}
model = torch.jit.load(sys.argv[1], map_location="cpu", _extra_files=card)
card = json.loads(card["fitch.json"])
shape = card["input"]["shape"]  # [height, width], with 3 before them in colour
if len(shape) == 1:
    sys.exit(f"{sys.argv[1]} takes rows of values, not images")
*channels, height, width = shape
fit = card["input"].get("fit", "stretch")


def resized(image):
    """As fitch resizes images of other proportions: stretched, to their middle, or on the colour of their border."""
    if fit == "crop":
        return ImageOps.fit(image, (width, height), Image.BILINEAR)
    if fit == "stretch":
        return image.resize((width, height), Image.BILINEAR)
    inner = ImageOps.contain(image, (width, height), Image.BILINEAR)
    pixels = [inner.getpixel((x, y)) for x in range(inner.width) for y in range(inner.height)
              if x in (0, inner.width - 1) or y in (0, inner.height - 1)]
    bands = zip(*pixels) if channels else [pixels]
    border = tuple(round(sum(band) / len(pixels)) for band in bands)
    whole = Image.new(image.mode, (width, height), border if channels else border[0])
    whole.paste(inner, ((width - inner.width) // 2, (height - inner.height) // 2))
    return whole


for name in sys.argv[2:]:
    image = Image.open(name).convert("RGB" if channels else "L")
    values = torch.tensor(list(resized(image).tobytes())).view(height, width, -1).permute(2, 0, 1)
    with torch.no_grad():
        probability, index = model(values.reshape(1, *shape) / 255)[0].max(0)
    print(f"{card['classes'][index]} {probability:.6f} {name}")

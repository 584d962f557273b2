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


def upright_and_opaque(image):
    """As its camera noted, and white where it is transparent; of 16 bits the upper 8."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda value: value / 257).convert("L")
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB" if channels else "L")


def part(long, share, of, most):
    """long * share / of, rounded, at least 1."""
    return max(1, min((2 * long * share + of) // (2 * of), most))


def resized(image):
    """As fitch resizes images of other proportions: stretched, to their middle, or on the colour of their border."""
    is_wider = image.width * height > image.height * width
    if fit == "crop":
        wide = part(image.height, width, height, image.width) if is_wider else image.width
        high = image.height if is_wider else part(image.width, height, width, image.height)
        left, top = (image.width - wide) // 2, (image.height - high) // 2
        image = image.crop((left, top, left + wide, top + high))
    if fit != "pad":
        return image.resize((width, height), Image.BILINEAR)
    wide = width if is_wider else part(image.width, height, image.height, width)
    high = part(image.height, width, image.width, height) if is_wider else height
    inner = image.resize((wide, high), Image.BILINEAR)
    pixels = [inner.getpixel((x, y)) for x in range(inner.width) for y in range(inner.height)
              if x in (0, inner.width - 1) or y in (0, inner.height - 1)]
    bands = zip(*pixels) if channels else [pixels]
    border = tuple(round(sum(band) / len(pixels)) for band in bands)
    whole = Image.new(image.mode, (width, height), border if channels else border[0])
    whole.paste(inner, ((width - inner.width) // 2, (height - inner.height) // 2))
    return whole


for name in sys.argv[2:]:
    image = upright_and_opaque(Image.open(name))
    values = torch.tensor(list(resized(image).tobytes())).view(height, width, -1).permute(2, 0, 1)
    with torch.no_grad():
        probability, index = model(values.reshape(1, *shape) / 255)[0].max(0)
    print(f"{card['classes'][index]} {probability:.6f} {name}")

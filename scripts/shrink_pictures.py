"""Makes pictures small enough to commit: at most 1,600 pixels wide, and few colours.

python scripts/shrink_pictures.py FILE.png [FILE.png ...]

A screenshot of grey images with coloured lines has thousands of colours that nobody can tell apart. Each
gets a palette of its own: even steps of grey, and the colours that stand out. Run it where the project is
installed (`.venv` after scripts/test.py); a picture that is small already stays as it is.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH = 1600
GREYS, COLOURS = 44, 84
COLOURFUL = 24
"""From which difference between the channels on, 0 to 255, a pixel is no grey."""


def shrink(path: Path, width: int = WIDTH) -> int:
    """Write a picture anew, at most so wide, if that makes it smaller; returns its bytes afterwards."""
    with Image.open(path) as picture:
        was_small = picture.mode == "P" and picture.width <= width
        ground = Image.new("RGBA", picture.size, "white")
        image = Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
    if was_small:
        return path.stat().st_size
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    image.quantize(palette=_palette(image), dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    if written.tell() < path.stat().st_size:
        path.write_bytes(written.getvalue())
    return path.stat().st_size


def _palette(image: Image.Image) -> Image.Image:
    greys = np.linspace(0, 255, GREYS).round().astype(np.uint8)
    colours = [(int(g), int(g), int(g)) for g in greys]
    pixels = np.asarray(image).reshape(-1, 3)
    bright = pixels[np.ptp(pixels, axis=1) > COLOURFUL]
    if len(bright):
        found = Image.fromarray(bright.reshape(1, -1, 3)).quantize(COLOURS, Image.Quantize.FASTOCTREE)
        flat = np.array(found.getpalette(), np.uint8).reshape(-1, 3)
        colours += [tuple(int(v) for v in colour) for colour in flat]
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for colour in colours for value in colour])
    return palette


def main() -> int:
    """Shrink the pictures that are named."""
    parser = argparse.ArgumentParser(description="Make pictures small enough to commit.")
    parser.add_argument("pictures", metavar="FILE", type=Path, nargs="+")
    for path in parser.parse_args().pictures:
        print(f"{path}: {shrink(path) / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

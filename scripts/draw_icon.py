"""Draws the extension's icon, 128 x 128: a contour, a click inside it, and the next, better contour.

    python scripts/draw_icon.py

Needs numpy only; the PNG is written by hand, four times supersampled.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
TARGETS = ("CLoPAAnnotator/Resources/Icons/CLoPAAnnotator.png", "CLoPAAnnotator.png")
SIZE, FINE = 128, 4


def shape(x: np.ndarray, y: np.ndarray, scale: float, bumps: float) -> np.ndarray:
    """Distance-like field of a rounded, three-lobed outline: below 1 is inside."""
    angle = np.arctan2(y, x)
    radius = np.hypot(x, y)
    return radius / (scale * (1 + bumps * np.sin(3 * angle + 0.6) + 0.06 * np.cos(2 * angle)))


def paint(canvas: np.ndarray, where: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Cover part of an RGBA canvas."""
    canvas[where] = (*colour, 255)


def draw() -> np.ndarray:
    """The icon as (128, 128, 4) uint8."""
    n = SIZE * FINE
    y, x = (np.indices((n, n)) + 0.5) / n * 2 - 1
    canvas = np.zeros((n, n, 4))
    corner = np.maximum(np.abs(x) - 0.62, 0) ** 2 + np.maximum(np.abs(y) - 0.62, 0) ** 2
    paint(canvas, corner < 0.32**2, (27, 52, 84))
    better, first = shape(x, y, 0.62, 0.13), shape(x + 0.02, y - 0.03, 0.46, 0.22)
    paint(canvas, better < 1, (64, 158, 198))
    paint(canvas, np.abs(better - 1) < 0.055, (197, 236, 250))
    dashed = np.mod(np.arctan2(y, x) * 180 / np.pi, 24) < 14
    paint(canvas, (np.abs(first - 1) < 0.05) & dashed, (233, 244, 250))
    dot = np.hypot(x - 0.02, y + 0.02)
    paint(canvas, dot < 0.15, (255, 255, 255))
    paint(canvas, dot < 0.11, (46, 158, 91))
    alpha = canvas[..., 3:] / 255
    blocks = (canvas[..., :3] * alpha).reshape(SIZE, FINE, SIZE, FINE, 3).mean((1, 3))
    cover = alpha.reshape(SIZE, FINE, SIZE, FINE, 1).mean((1, 3))
    colour = blocks / np.maximum(cover, 1e-6)
    return np.concatenate([colour, cover * 255], -1).round().astype(np.uint8)


def png(image: np.ndarray) -> bytes:
    """An RGBA image as PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = image.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


if __name__ == "__main__":
    content = png(draw())
    for target in TARGETS:
        (REPOSITORY / target).parent.mkdir(parents=True, exist_ok=True)
        (REPOSITORY / target).write_bytes(content)

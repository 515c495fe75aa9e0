"""The icon and the pictures; `test_index_rules` has the rest of what the extensions index asks for."""

from __future__ import annotations

import re
import struct
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "scripts"))


def png_size(path):
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n", f"{path.name} is not a PNG"
    return struct.unpack(">II", head[16:24])


def test_the_icon_is_128_pixels_square_and_drawn_by_its_script():
    from draw_icon import TARGETS, draw, png

    content = png(draw())
    for target in TARGETS:
        path = REPOSITORY / target
        assert png_size(path) == (128, 128)
        assert len(path.read_bytes()) > 1000
    assert content[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_screenshots_that_cmake_names_are_there():
    text = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    names = re.findall(r"docs/pictures/([\w.-]+)", text)
    assert names
    for name in names:
        assert png_size(REPOSITORY / "docs" / "pictures" / name)[0] >= 800


def test_every_picture_in_the_guides_is_there():
    for guide in ("user-guide.md", "lead-guide.md"):
        text = (REPOSITORY / "docs" / guide).read_text(encoding="utf-8")
        pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
        assert pictures
        for picture in pictures:
            assert (REPOSITORY / "docs" / picture).is_file(), picture

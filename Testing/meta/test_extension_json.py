"""The entry for Slicer's extensions index, the icon and the pictures."""

from __future__ import annotations

import json
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


def test_the_index_entry_has_what_the_index_asks_for():
    entry = json.loads((REPOSITORY / "CLoPAAnnotator.json").read_text(encoding="utf-8"))
    assert entry["$schema"].startswith("https://raw.githubusercontent.com/Slicer/Slicer/")
    assert entry["category"] == "Segmentation"
    assert re.fullmatch(r"https://\S+\.git", entry["scm_url"])
    assert isinstance(entry["build_dependencies"], list)
    assert entry["tier"] in (1, 3, 5)


def test_the_index_entry_and_cmake_name_the_same_repository():
    entry = json.loads((REPOSITORY / "CLoPAAnnotator.json").read_text(encoding="utf-8"))
    assert entry["scm_url"].removesuffix(".git") in (REPOSITORY / "CMakeLists.txt").read_text(
        encoding="utf-8"
    )


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
    names = re.findall(r"Resources/Screenshots/([\w.-]+)", text)
    assert names
    for name in names:
        assert png_size(REPOSITORY / "Resources" / "Screenshots" / name)[0] >= 800


def test_every_picture_in_the_guides_is_there():
    for guide in ("user-guide.md", "lead-guide.md"):
        text = (REPOSITORY / "docs" / guide).read_text(encoding="utf-8")
        pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
        assert pictures
        for picture in pictures:
            assert (REPOSITORY / "docs" / picture).is_file(), picture

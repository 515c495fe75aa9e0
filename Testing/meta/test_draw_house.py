"""scripts/draw_house.py: floors, circles and the arrows that do not follow from others, on small graphs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / "scripts"))

import draw_house  # noqa: E402

HOUSE = {"cli": {"engine", "types"}, "engine": {"cache", "types"}, "cache": {"types"}, "types": set()}
RING = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}


def test_a_room_stands_above_everything_that_it_imports() -> None:
    assert draw_house.floors(HOUSE) == {"types": 0, "cache": 1, "engine": 2, "cli": 3}
    assert draw_house.floors(RING) == {"d": 0, "b": 1, "c": 1, "a": 2}


def test_circles_are_found_and_named() -> None:
    assert draw_house.circles(HOUSE) == []
    assert draw_house.circles(RING) == [{"b", "c"}]


def test_arrows_that_follow_from_others_are_left_out_and_those_of_circles_stay() -> None:
    assert draw_house.needed(HOUSE) == {
        "cli": {"engine"},
        "engine": {"cache"},
        "cache": {"types"},
        "types": set(),
    }
    assert draw_house.needed(RING) == RING


def test_a_picture_is_svg_with_every_room_and_circles_in_red() -> None:
    text = draw_house.picture(RING, dict.fromkeys(RING, 3))
    root = ElementTree.fromstring(text)
    names = [e.text for e in root.iter() if e.tag.endswith("text")]
    assert sorted(names) == ["a 3", "b 3", "c 3", "d 3"] and text.count("#c22") == 2


def test_the_figures_of_this_tree_name_no_circle(capsys: pytest.CaptureFixture[str]) -> None:
    ended = subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts" / "draw_house.py")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.count("circles of modules: none") == 2
    assert "clopa_annotator: " in ended.stdout and "CLoPAAnnotatorLib: " in ended.stdout

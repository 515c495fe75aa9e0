"""The extension passes what Slicer's index checks, and each of the rules can fail."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import index_rules
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
NAME = "CLoPAAnnotator"
PICTURES_MB = 2.0
"""All pictures of a checkout together; every set that was ever committed stays in each clone for good."""
CHECKOUT_MB = 25.0
"""The index refuses a clone, history and checkout together, of more than 100 MB."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files that the rules read, to spoil."""
    for name in (f"{NAME}.json", "CMakeLists.txt", "README.md", "LICENSE", f"{NAME}/{NAME}.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(REPOSITORY / name, tmp_path / name)
    return tmp_path


def spoil(path: Path, before: str, after: str) -> None:
    text = path.read_text("utf-8")
    assert before in text
    path.write_bytes(text.replace(before, after).encode())


@pytest.mark.parametrize("rule", index_rules.RULES, ids=lambda r: r.__name__)
def test_the_extension_keeps_the_indexs_rules(rule: object, copy: Path) -> None:
    assert rule(REPOSITORY, NAME) == rule(copy, NAME) == []


@pytest.mark.parametrize(
    ("rule", "file", "before", "after", "words"),
    [
        ("wrong_entry", f"{NAME}.json", '"tier": 1', '"tier": "1"', "tier is no int"),
        ("wrong_entry", f"{NAME}.json", '"tier"', '"level"', "level is not known"),
        ("wrong_entry", f"{NAME}.json", "\n", "\r\n", "CR"),
        ("wrong_repository", f"{NAME}.json", "SlicerCLoPAAnnotator", "clopa", "does not start with Slicer"),
        ("wrong_cmake", "CMakeLists.txt", f"project({NAME})", "project(Other)", "another name"),
        ("wrong_cmake", "CMakeLists.txt", "3.28.0...3.28.0", "3.16", "cmake_minimum_required"),
        (
            "wrong_cmake",
            "CMakeLists.txt",
            '(EXTENSION_ICONURL "https:',
            '(EXTENSION_ICONURL "${URL}',
            "no address",
        ),
        ("wrong_cmake", "CMakeLists.txt", "EXTENSION_SCREENSHOTURLS", "SHOTS", "no EXTENSION_SCREENSHOTURLS"),
        ("wrong_homepage", "README.md", "- **CLoPA Annotator**", "- CLoPA", "no sentence about"),
        ("wrong_homepage", "README.md", "## Removing what was downloaded", "## Other", "Removing"),
    ],
)
def test_each_rule_can_fail(copy: Path, rule: str, file: str, before: str, after: str, words: str) -> None:
    spoil(copy / file, before, after)
    assert words in " ".join(getattr(index_rules, rule)(copy, NAME))


def test_entry_homepage_and_addresses_name_one_repository_and_files_that_are_there() -> None:
    text = (REPOSITORY / "CMakeLists.txt").read_text("utf-8")
    entry = json.loads((REPOSITORY / f"{NAME}.json").read_text("utf-8"))
    homepage = index_rules.cmake_value(text, "EXTENSION_HOMEPAGE")
    assert entry["scm_url"] == f"{homepage}.git"
    owner_and_name = homepage.split("github.com/")[1]
    raw = f"https://raw.githubusercontent.com/{owner_and_name}/{entry['scm_revision']}/"
    for variable in ("EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"):
        for address in index_rules.cmake_value(text, variable).split():
            assert address.startswith(raw)
            assert (REPOSITORY / address.removeprefix(raw)).is_file(), address


def committed(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", *patterns], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = (REPOSITORY / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_pictures_and_checkout_stay_small() -> None:
    pictures = committed("*.png", "*.jpg", "*.jpeg", "*.gif", "*.svg")
    assert len(pictures) > 10
    in_pictures = sum(path.stat().st_size for path in pictures) / 1e6
    assert in_pictures < PICTURES_MB, f"{in_pictures:.1f} MB: run python scripts/shrink_pictures.py on them"
    assert sum(path.stat().st_size for path in committed()) / 1e6 < CHECKOUT_MB


def test_no_picture_is_committed_as_it_was_taken(tmp_path: Path) -> None:
    sys.path.insert(0, str(REPOSITORY / "scripts"))
    from shrink_pictures import shrink

    for picture in committed("docs/*.png"):
        copy = tmp_path / picture.name
        shutil.copyfile(picture, copy)
        saved = picture.stat().st_size - shrink(copy)
        assert saved < 20_000, f"run: python scripts/shrink_pictures.py {picture.relative_to(REPOSITORY)}"


def test_a_picture_is_shrunk_to_few_colours_and_keeps_its_coloured_lines(tmp_path: Path) -> None:
    sys.path.insert(0, str(REPOSITORY / "scripts"))
    import numpy as np
    from PIL import Image

    from shrink_pictures import WIDTH, shrink

    pixels = np.random.default_rng(0).integers(0, 255, (200, 2000, 1), np.uint8).repeat(3, axis=2)
    pixels[80:120] = (70, 210, 90)
    path = tmp_path / "shot.png"
    Image.fromarray(pixels).save(path)
    before = path.stat().st_size
    assert shrink(path) == path.stat().st_size < before / 2
    with Image.open(path) as picture:
        assert picture.mode == "P" and picture.width == WIDTH
        assert picture.convert("RGB").getpixel((800, 80)) == pytest.approx((70, 210, 90), abs=12)
    assert shrink(path) == path.stat().st_size, "the second time nothing is left to do"

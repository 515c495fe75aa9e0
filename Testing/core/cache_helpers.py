"""Small campaigns for the cache's tests.

A test module takes a fixture from here by assigning it to a name of its own: an import would look unused, and
be shadowed by the argument of every test.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from clopa_annotator.cache.campaign_store import CampaignManifest, CampaignStore, CaseDraft
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Confirmation, Image, PointPrompt, TimedPrompt

SHAPE = (7, 9, 11)
OBLIQUE = (0.0, -1.0, 0.0, 0.8, 0.0, -0.6, 0.6, 0.0, 0.8)

relaxed = settings(deadline=None, max_examples=40)

masks = nps.arrays(np.uint8, nps.array_shapes(min_dims=3, max_dims=3, max_side=7), elements=st.integers(0, 1))


@contextmanager
def a_quick_folder(otherwise: Path) -> Iterator[Path]:
    """A folder in memory where the system offers one, since these tests flush thousands of times."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else otherwise) as name:
        yield Path(name)


def an_image(seed: int = 0, shape: tuple[int, int, int] = SHAPE, dtype: str = "int16") -> Image:
    voxels = np.random.default_rng(seed).integers(0, 120, shape).astype(dtype)
    return Image(voxels, Geometry(shape, (0.5, 0.75, 3.0), (-12.5, 30.25, 7.0), OBLIQUE))


def a_mask(seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return (np.random.default_rng(seed).random(shape) < 0.4).astype(np.uint8)


def a_confirmation(number: int = 1, case_id: str = "case one", **changes: object) -> Confirmation:
    values = {
        "confirmation_id": f"confirmation-{number}",
        "case_id": case_id,
        "mask": a_mask(number),
        "prompts": (
            TimedPrompt(PointPrompt((1, 2, 3)), 0.5),
            TimedPrompt(PointPrompt((0, 0, 0), False), 2.25),
        ),
        "annotator": "Dr. Ä",
        "seconds_active": 31.5,
        "weights_version": 2,
        "first_shown_dice": 0.75,
        "note": "clear border",
    }
    return Confirmation(**{**values, **changes})


def a_store(folder: Path, **changes: object) -> CampaignStore:
    return CampaignStore.create(folder, CampaignManifest("test", 10, model_hash="ab" * 32, **changes))


def a_campaign(folder: Path, cases: int = 2) -> CampaignStore:
    """A store with some cases, each confirmed once; the first one twice."""
    store = a_store(folder)
    for number in range(cases):
        case_id = f"case {number}"
        store.add_case(case_id, an_image(number), source=f"{number}.nii.gz")
        store.confirm(a_confirmation(number, case_id))
    store.confirm(a_confirmation(100, "case 0"))
    return store


def data_files(folder: Path) -> list[Path]:
    """Every file of a campaign that holds data; neither the index nor the lock."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".sqlite", ".lock"))


def flip_bit(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[(bit // 8) % len(content)] ^= 1 << (bit % 8)
    path.write_bytes(bytes(content))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign with two cases, three versions, a mark and a draft."""
    folder = tmp_path_factory.mktemp("sound") / "campaign"
    with a_campaign(folder) as store:
        store.reopen("case 1", "B", "border")
        store.save_draft(CaseDraft("case 1", a_mask(3)))
    return folder


@pytest.fixture
def tmp_path(tmp_path: Path):
    with a_quick_folder(tmp_path) as folder:
        yield folder


@pytest.fixture
def campaign(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "campaign"))


def verified(folder: Path):
    with CampaignStore.open(folder, writer=True) as store:
        return store.verify(), store.confirmed(), {c.case_id: c for c in store.cases()}


def pick(folder: Path, what: str) -> Path:
    pattern = {
        "campaign": "campaign.json",
        "case": "cases/case-1*/case.json",
        "image": "images/*/image.json",
        "mark": "cases/*/m*.json",
        "mask b2nd": "cases/case-1*/v*/mask.b2nd",
        "mask nrrd": "cases/case-1*/v*/mask.seg.nrrd",
        "record": "cases/case-1*/v*/record.json",
        "voxels": "images/*/voxels.b2nd",
        "draft": "drafts/*.json",
    }[what]
    return sorted(folder.glob(pattern))[0]


class Broken:
    """A hook that raises an error at one kind of step, from the moment it is armed."""

    def __init__(self) -> None:
        self.step, self.number = "", 0

    def __call__(self, step: str, path: Path) -> None:
        if step == self.step:
            raise OSError(self.number, os.strerror(self.number), str(path))


@pytest.fixture
def store(tmp_path: Path):
    with a_store(tmp_path / "campaign") as store:
        store.add_case("case one", an_image(), source="one.nii.gz")
        yield store

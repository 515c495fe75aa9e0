"""Small campaigns for the cache's tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from clopa_annotator.cache.store import CampaignManifest, CampaignStore
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Confirmation, Image, PointPrompt, TimedPrompt

SHAPE = (7, 9, 11)
OBLIQUE = (0.0, -1.0, 0.0, 0.8, 0.0, -0.6, 0.6, 0.0, 0.8)


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

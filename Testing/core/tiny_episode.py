"""A tiny network and tiny cases in memory for the tests of episodes; as a script it trains, then dies."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clopa_annotator.delta import unpack_delta
from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.folder import write_job
from clopa_annotator.episode.job import run_job
from clopa_annotator.episode.progress import Progress
from clopa_annotator.geometry import BoundsKji, Geometry, box_slices
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.testing.random_model import write_random_model
from clopa_annotator.types import CaseRef, EpisodeRequest, EpisodeResult, Image, Mask, Split

PATCH = (16, 16, 16)
QUICK = EpisodeSettings(
    group="cn",
    learning_rate=1e-2,
    epochs=2,
    updates=2,
    batch=2,
    steps=2,
    patch_centre="session",
    val_samples=2,
    precision="fp32",
    threads=1,
)


class MemoryReader:
    """Cases in memory, drawn from their numbers; counts what is read."""

    def __init__(self, shapes: dict[int, tuple[int, int, int]]) -> None:
        self.images: dict[str, np.ndarray] = {}
        self.masks: dict[str, np.ndarray] = {}
        self.refs: list[CaseRef] = []
        self.reads: list[str] = []
        for sequence, shape in shapes.items():
            rng = np.random.default_rng(sequence)
            grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"))
            centre = np.array([rng.uniform(0.35 * n, 0.65 * n) for n in shape])[:, None, None, None]
            mask = (((grid - centre) / (0.25 * np.array(shape))[:, None, None, None]) ** 2).sum(0) < 1
            image = rng.normal(100, 20, shape) + 60 * mask
            name = hashlib.sha256(bytes([sequence])).hexdigest()
            self.images[name] = image.astype(np.int16)
            self.masks[name] = mask.astype(np.uint8)
            self.refs.append(
                CaseRef(f"case {sequence}", 1, sequence, name, name, name, f"cases/{sequence}/1")
            )

    def read_image(self, image_hash: str) -> Image:
        self.reads.append("image")
        voxels = self.images[image_hash]
        return Image(voxels, Geometry(voxels.shape))

    def read_mask(self, ref: CaseRef) -> Mask:
        self.reads.append("mask")
        return self.masks[ref.mask_hash]

    def read_patch(self, image_hash: str, bounds_kji: BoundsKji) -> Any:
        self.reads.append("patch")
        return self.images[image_hash][box_slices(bounds_kji)]

    def read_mask_patch(self, ref: CaseRef, bounds_kji: BoundsKji) -> Mask:
        self.reads.append("mask patch")
        return self.masks[ref.mask_hash][box_slices(bounds_kji)]


def tiny_reader() -> MemoryReader:
    return MemoryReader({n: (18 + n % 3, 20, 14 + n) for n in range(1, 6)})


def tiny_model(folder: Path) -> LoadedModel:
    """A network of three stages; its patch is set smaller than a session could take."""
    if not folder.exists():
        write_random_model(folder, patch_size_kji=(64, 64, 64), features=(4, 6, 8), licence="CC0 for tests")
    return replace(load_model(folder, "cpu"), patch_size_kji=PATCH)


def tiny_job(
    folder: Path,
    settings: EpisodeSettings = QUICK,
    *,
    train: tuple[int, ...] = (1, 2, 3, 4),
    val: tuple[int, ...] = (5,),
    parent_delta: Path | None = None,
    seed: int = 7,
) -> Path:
    request = EpisodeRequest(1, 5, Split(train, val), seed=seed)
    cases = tiny_reader().refs
    return write_job(folder, request, settings, cases, folder.parent / "model", parent_delta, campaign=folder)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return tiny_model(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(folder: Path, model: LoadedModel, **keywords: Any) -> EpisodeResult:
    return run_job(folder, tiny_reader(), model=model, **keywords)


def delta_of(result: EpisodeResult) -> dict[str, torch.Tensor]:
    assert result.delta_path is not None, result.reason
    return unpack_delta(result.delta_path.read_bytes())[1]


if __name__ == "__main__":
    torch.set_num_threads(1)
    job, last_update = Path(sys.argv[1]), int(sys.argv[2])

    def die(progress: Progress) -> None:
        if progress.update == last_update:
            os.kill(os.getpid(), signal.SIGKILL)

    run_job(job, tiny_reader(), model=tiny_model(job.parent / "model"), on_progress=die)

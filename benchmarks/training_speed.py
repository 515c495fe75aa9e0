"""Updates per second, peak memory, and how much of an episode's time the network itself takes.

    python benchmarks/training_speed.py [--model FOLDER] [--device auto] [--updates 8] [--groups in,cn]
                                        [--shapes 35x51x35,128x128x96] [--schedule quick] [--precision auto]

Whole episodes run as the trainer runs them, from a job folder, on generated cases of the given shapes; the
bundled model is used unless another is named. The network's share is the time inside its forward pass and
inside ``backward``; the rest is sampling, augmentation, prompts, encoding, losses and the optimiser.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bench
import numpy as np
import psutil
import torch

from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.folder import write_job
from clopa_annotator.episode.hardware.precision import autocast_dtype
from clopa_annotator.episode.job import run_job
from clopa_annotator.episode.progress import Progress
from clopa_annotator.geometry import BoundsKji, Geometry, box_slices
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.types import CaseRef, EpisodeRequest, Image, Mask, Split

CASES = 4
WARM_UP_UPDATES = 2


class GeneratedCases:
    """Noise with a bright ellipsoid, in memory."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
        self._mask: Mask = ((grid**2).sum(0) < 0.2).astype(np.uint8)
        rng = np.random.default_rng(0)
        self._image = (rng.normal(100, 20, shape) + 60 * self._mask).astype(np.int16)
        self.refs = [CaseRef(f"case {n}", 1, n, "image", "mask", str(n), "") for n in range(1, CASES + 1)]

    def read_image(self, image_hash: str) -> Image:  # noqa: ARG002 - one image for all
        """The image."""
        return Image(self._image, Geometry(self._image.shape))  # type: ignore[arg-type]

    def read_mask(self, ref: CaseRef) -> Mask:  # noqa: ARG002
        """The mask."""
        return self._mask

    def read_patch(self, image_hash: str, bounds_kji: BoundsKji) -> Any:  # noqa: ARG002
        """A part of the image."""
        return self._image[box_slices(bounds_kji)]

    def read_mask_patch(self, ref: CaseRef, bounds_kji: BoundsKji) -> Mask:  # noqa: ARG002
        """A part of the mask."""
        return self._mask[box_slices(bounds_kji)]


@dataclass
class Clock:
    """Seconds inside the network, added up."""

    device: torch.device
    seconds: float = 0.0
    running: bool = False

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time added while the clock runs."""

        def call(*arguments: Any, **keywords: Any) -> Any:
            started = self.now()
            answer = function(*arguments, **keywords)
            if self.running:
                self.seconds += self.now() - started
            return answer

        return call

    def now(self) -> float:
        """The time, with the device's work done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


@contextmanager
def clocked(model: LoadedModel) -> Iterator[Clock]:
    """Time the network's forward passes and every backward pass."""
    clock = Clock(model.device)
    forward, backward = model.network.forward, torch.Tensor.backward
    model.network.forward = clock.timed(forward)
    torch.Tensor.backward = clock.timed(backward)  # type: ignore[method-assign]
    try:
        yield clock
    finally:
        model.network.forward = forward
        torch.Tensor.backward = backward  # type: ignore[method-assign]


def one_episode(model: LoadedModel, shape: tuple[int, ...], settings: EpisodeSettings) -> dict[str, float]:
    """One episode without validation; the first updates are not counted."""
    cases = GeneratedCases(shape)
    marks: list[float] = []
    with tempfile.TemporaryDirectory() as scratch, clocked(model) as clock:
        folder = Path(scratch) / "job"
        request = EpisodeRequest(1, CASES, Split(tuple(range(1, CASES + 1))))
        write_job(folder, request, settings, cases.refs, model.folder, campaign=Path(scratch))

        def after_update(progress: Progress) -> None:
            if progress.phase != "training" or progress.update < WARM_UP_UPDATES:
                return
            clock.running = True
            marks.append(clock.now())

        result = run_job(folder, cases, model=model, on_progress=after_update)
    if result.status != "finished":
        raise SystemExit(result.reason)
    seconds = marks[-1] - marks[0]
    return {
        "updates_per_s": (len(marks) - 1) / seconds,
        "ms_per_update": 1e3 * seconds / (len(marks) - 1),
        "network_share": clock.seconds / seconds,
        "peak_mb": peak_mb(model.device),
    }


def peak_mb(device: torch.device) -> float:
    """Peak memory: of the GPU where one is used, else of this process since it started."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    if platform.system() == "Windows":
        return float(psutil.Process().memory_info().peak_wset) / 2**20
    import resource  # Windows has no such module

    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def measure(given: bench.Options, scratch: Path) -> bench.Figures:
    """Every shape with every group."""
    preset = {"quick": EpisodeSettings.quick, "paper": EpisodeSettings.paper}[given.schedule]
    model, about = bench.a_model(given.model, given.device, scratch, (16, 32, 64, 128, 160))
    precision = str(autocast_dtype(given.precision, model.device) or "fp32")
    updates = given.updates + WARM_UP_UPDATES
    rows = []
    for shape in given.shapes:
        for group in given.groups:
            settings = replace(preset(group), epochs=1, updates=updates, precision=given.precision)
            row = one_episode(model, tuple(int(n) for n in shape.split("x")), settings)
            rows.append({"shape": shape, "group": group, **row})
    return {**about, "schedule": given.schedule, "precision": precision, "rows": rows}


if __name__ == "__main__":
    bench.main(
        __doc__,
        measure,
        {
            "--model": (str, "folder or name; default: the bundled model, else a generated one"),
            "--device": "auto",
            "--updates": 8,
            "--groups": ["in", "cn", "all"],
            "--shapes": ["35x51x35", "128x128x96"],
            "--schedule": {"default": "quick", "choices": ("quick", "paper")},
            "--precision": {"default": "auto", "choices": ("auto", "fp32", "bf16", "fp16")},
            "--threads": 0,
        },
    )

"""What a click costs in `LocalSession` beyond nnInteractive's own session, side by side in one run.

    python benchmarks/click_overhead.py [--model FOLDER] [--ct FILE] [--clicks 30] [--json FILE]

Three sessions with the same weights get the same points in turn (their order changes with every click, so
that a slow moment of the machine hits all): nnInteractive's session as it is, the same with our comparison in
place of argmax, and `LocalSession`, which adds checks, many levels of undo, a private buffer with a read-only
copy and a tight changed box. The goal is less than 5 % or 10 ms over nnInteractive's own. The masks must be
equal after every click. On a busy machine the network's time varies by more than the overhead; the rows "no
network" have a stand-in that answers at once, which shows the sessions' own cost. The last line times argmax
alone against the comparison.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import bench
import numpy as np
import torch
from nnInteractive.inference.inference_session import nnInteractiveInferenceSession

from clopa_annotator.datasets.volumes import read_image
from clopa_annotator.geometry import Geometry
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import TwoClassLogits, TwoClassNetwork
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.types import Image, PointPrompt

WARM_UP_CLICKS = 3
BARE, COMPARING, LOCAL = "nnInteractive", "nnInteractive, comparing", "LocalSession"
Click = Callable[[PointPrompt], None]


def bare_session(model: LoadedModel, image: Image, network: object) -> tuple[Click, np.ndarray]:
    """nnInteractive's session: a function that clicks, and the mask that it writes."""
    bare = nnInteractiveInferenceSession(model.device, torch_n_threads=torch.get_num_threads())
    bare.initialize_from_loaded_artifacts({**model.artifacts, "network": network})
    bare.set_image(np.asarray(image.voxels)[None])
    bare._finish_preprocessing_and_initialize_interactions()
    buffer = np.zeros(image.geometry.shape_kji, np.uint8)
    bare.set_target_buffer(buffer)

    def click(point: PointPrompt) -> None:
        np.random.seed(0)  # LocalSession does this too; it makes the masks comparable
        bare.add_point_interaction(point.position_kji, point.positive)

    return click, buffer


def time_clicks(model: LoadedModel, image: Image, clicks: int) -> dict[str, list[float]]:
    """Seconds per click for each session; the masks must be equal after every click."""
    arms: dict[str, Click] = {}
    arms[BARE], bare_mask = bare_session(model, image, model.network)
    arms[COMPARING], comparing_mask = bare_session(model, image, TwoClassNetwork(model.network))
    session = LocalSession(model)
    session.set_image(image)
    arms[LOCAL] = lambda point: void(session.add_prompt(point))
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for number, point in enumerate(points(image, clicks + WARM_UP_CLICKS)):
        names = list(arms)
        for name in names[number % 3 :] + names[: number % 3]:
            started = time.perf_counter()
            arms[name](point)
            if number >= WARM_UP_CLICKS:
                seconds[name].append(time.perf_counter() - started)
        if not (bare_mask == session.proposal.mask).all() or not (comparing_mask == bare_mask).all():
            raise SystemExit(f"The masks differ after click {number + 1}.")
    return seconds


def void(_: object) -> None:
    """Drop a value."""


def points(image: Image, count: int) -> Iterator[PointPrompt]:
    """Points in the middle half of the volume, positive and negative in turn."""
    rng = np.random.default_rng(0)
    shape = np.array(image.geometry.shape_kji)
    for number in range(count):
        k, j, i = (int(x) for x in rng.integers(shape // 4, shape - shape // 4))
        yield PointPrompt((k, j, i), number % 2 == 0)


def generated_volume() -> Image:
    """64^3 noise with a bright block."""
    voxels = np.random.default_rng(0).normal(100, 20, (64, 64, 64)).astype(np.float32)
    voxels[20:44, 20:44, 20:44] += 100
    return Image(voxels, Geometry(voxels.shape))


def rows_of(title: str, seconds: dict[str, list[float]]) -> list[bench.Figures]:
    """A row per session, and what `LocalSession` took beyond the other two at the same clicks."""
    rows = [{"volume": title, "session": name, **bench.spread_ms(s)} for name, s in seconds.items()]
    for reference in (BARE, COMPARING):
        paired = [local - bare for local, bare in zip(seconds[LOCAL], seconds[reference], strict=True)]
        percent = 100 * statistics.median(paired) / statistics.median(seconds[reference])
        over = f"over {reference} ({percent:+.1f} %)"
        rows.append({"volume": title, "session": over, **bench.spread_ms(paired)})
    return rows


class NoNetwork(torch.nn.Module):
    """Says that the target is where positive points are, at once."""

    def forward(self, patch: torch.Tensor) -> torch.Tensor:
        """Two channels for a (1, 8, k, j, i) patch."""
        points = patch[:, 4:5]
        return torch.cat((torch.full_like(points, 0.01), points), dim=1)


def without_network(model: LoadedModel) -> LoadedModel:
    """The same model with the stand-in for its network."""
    network = NoNetwork()
    return replace(model, network=network, artifacts={**model.artifacts, "network": network})


def compare_argmax(edge: int, repeats: int) -> dict[str, float]:
    """Median ms of argmax and of the comparison, over the two channels of an ``edge``^3 patch."""
    logits = torch.randn(1, 2, edge, edge, edge)
    found: dict[str, torch.Tensor] = {}
    ways = {
        "argmax_ms": lambda: found.update(plain=logits[0].argmax(0)),
        "comparison_ms": lambda: found.update(fast=TwoClassLogits(logits)[0].argmax(0)),
    }
    seconds = bench.rounds(ways, repeats, 0)
    if not torch.equal(found["plain"], found["fast"].long()):
        raise SystemExit("The comparison differs from argmax.")
    return {name: 1e3 * statistics.median(values) for name, values in seconds.items()}


def find_ct(path: Path | None) -> Path | None:
    """The CT given, or that of the test data."""
    data = Path(os.environ.get("CLOPA_TEST_DATA", bench.REPOSITORY.parent / "shared" / "data"))
    found = path or data / "TotalSegmentator_CT" / "ct.nii.gz"
    return found if found.is_file() else None


def measure(given: bench.Options, scratch: Path) -> bench.Figures:
    """Both volumes, with the network and without."""
    model, about = bench.a_model(given.model, "auto", scratch, (8, 16, 32, 64, 96))
    volumes, ct = {"64^3": generated_volume()}, find_ct(given.ct)
    if ct is not None:
        volumes["CT " + "x".join(map(str, read_image(ct).geometry.shape_kji))] = read_image(ct)
    rows: list[bench.Figures] = []
    for title, image in volumes.items():
        rows += rows_of(title, time_clicks(model, image, given.clicks))
        rows += rows_of(f"{title}, no network", time_clicks(without_network(model), image, given.clicks))
    return {**about, "clicks": rows, "argmax_192": compare_argmax(192, given.repeats)}


if __name__ == "__main__":
    bench.main(
        __doc__,
        measure,
        {
            "--model": (str, "folder or name; default: the bundled model, else a generated one"),
            "--ct": (Path, "a volume; default: the CT of the test data, if it is there"),
            "--clicks": 30,
            "--repeats": (5, "of the argmax comparison"),
            "--threads": 0,
        },
    )

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

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import torch
from nnInteractive.inference.inference_session import nnInteractiveInferenceSession

from clopa_annotator.datasets.volumes import read_image
from clopa_annotator.errors import ModelNotPresent
from clopa_annotator.geometry import Geometry
from clopa_annotator.models import resolve
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import TwoClassLogits, TwoClassNetwork
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.testing.random_model import write_random_model
from clopa_annotator.types import Image, PointPrompt

REPOSITORY = Path(__file__).resolve().parent.parent
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


def median_ms(values: list[float]) -> float:
    """Median of seconds, in ms."""
    return 1000 * statistics.median(values)


def p95_ms(values: list[float]) -> float:
    """95th percentile of seconds, in ms."""
    return 1000 * float(np.quantile(values, 0.95))


def overhead(seconds: dict[str, list[float]], reference: str) -> dict[str, float]:
    """What `LocalSession` took beyond ``reference`` at the same clicks."""
    paired = [local - bare for local, bare in zip(seconds[LOCAL], seconds[reference], strict=True)]
    return {
        "median_ms": median_ms(paired),
        "p95_ms": p95_ms(paired),
        "percent": 100 * statistics.median(paired) / statistics.median(seconds[reference]),
    }


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


def report(title: str, seconds: dict[str, list[float]]) -> dict[str, object]:
    """Print one block of the table and return it."""
    for session, values in seconds.items():
        print(f"{title:26} {session:26} {median_ms(values):10.2f} {p95_ms(values):10.2f}")
    extras = {reference: overhead(seconds, reference) for reference in (BARE, COMPARING)}
    for reference, extra in extras.items():
        print(
            f"{title:26} {'- over ' + reference:26.26} {extra['median_ms']:+10.2f} {extra['p95_ms']:+10.2f}",
            end="",
        )
        print(f" {extra['percent']:+8.1f} %")
    return {"seconds": seconds, "overhead": extras}


def compare_argmax(edge: int, repeats: int) -> dict[str, float]:
    """Median ms of argmax and of the comparison, over the two channels of an ``edge``^3 patch."""
    logits = torch.randn(1, 2, edge, edge, edge)
    times: dict[str, list[float]] = {"argmax_ms": [], "comparison_ms": []}
    for _ in range(repeats):
        started = time.perf_counter()
        plain = logits[0].argmax(0)
        middle = time.perf_counter()
        fast = TwoClassLogits(logits)[0].argmax(0)
        times["argmax_ms"].append(middle - started)
        times["comparison_ms"].append(time.perf_counter() - middle)
        if not torch.equal(plain, fast.long()):
            raise SystemExit("The comparison differs from argmax.")
    return {name: median_ms(values) for name, values in times.items()}


def find_model(name: str | None, scratch: Path) -> tuple[LoadedModel, str]:
    """The named model, else the bundled one, else a generated one with random weights."""
    if name is not None:
        return load_model(resolve(name)), name
    try:
        return load_model(resolve("bundled")), "bundled"
    except ModelNotPresent:
        folder = write_random_model(scratch / "model", features=(8, 16, 32, 64, 96))
        return load_model(folder), "generated, features 8-96, random weights"


def find_ct(path: Path | None) -> Path | None:
    """The CT given, or that of the test data."""
    data = Path(os.environ.get("CLOPA_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    found = path or data / "TotalSegmentator_CT" / "ct.nii.gz"
    return found if found.is_file() else None


def machine(model: LoadedModel, name: str) -> dict[str, object]:
    """What the numbers hold for."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "load_at_start": round(load, 2),
        "device": str(model.device),
        "torch": torch.__version__,
        "model": name,
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "patch": list(model.patch_size_kji),
    }


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Measure, print, and return the numbers."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as scratch:
        model, name = find_model(arguments.model, Path(scratch))
    result: dict[str, object] = {"machine": machine(model, name)}
    print(" ".join(f"{key}={value}" for key, value in machine(model, name).items()))
    volumes = {"64^3": generated_volume()}
    ct = find_ct(arguments.ct)
    if ct is not None:
        volumes["CT " + "x".join(map(str, read_image(ct).geometry.shape_kji))] = read_image(ct)
    print(f"\n{'volume':26} {'session':26} {'median ms':>10} {'p95 ms':>10}")
    for title, image in volumes.items():
        result[title] = report(title, time_clicks(model, image, arguments.clicks))
        bare_title = f"{title}, no network"
        result[bare_title] = report(bare_title, time_clicks(without_network(model), image, arguments.clicks))
    result["argmax_192"] = argmax = compare_argmax(192, arguments.repeats)
    print(f"\nargmax over 192^3: {argmax['argmax_ms']:.0f} ms; comparison: {argmax['comparison_ms']:.1f} ms")
    return result


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", help="folder or name; default: the bundled model, else a generated one")
    parser.add_argument("--ct", type=Path, help="a volume; default: the CT of the test data, if it is there")
    parser.add_argument("--clicks", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=5, help="of the argmax comparison")
    parser.add_argument("--threads", type=int, default=0, help="PyTorch threads; 0 leaves PyTorch's choice")
    parser.add_argument("--json", type=Path, help="write all numbers there")
    arguments = parser.parse_args()
    result = run(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

"""What a click costs on a structure larger than the patch, `LocalSession` beside nnInteractive's session.

    python benchmarks/large_structures.py [--dataset DIR --label 1] [--cases 1] [--clicks 2]
                                          [--no-network] [--json FILE]

Both sessions have the same network and get the same clicks in turn. Without ``--dataset`` the image is a
generated organ of 36 x 256 x 256 voxels. The network runs for its cost, and what is answered is the reference
as far as it shows at the look's own resolution, so that every look and every refinement that the organ needs
is made, whatever the network has learned. (``--answers network`` takes the network's own answers: right for
one that knows the organ, while one that does not never looks further.) Counted are passes of the network and
seconds of wall and of processor time, the latter without the network too; ``pass_cpu_s`` is a pass alone.
``cpu_s`` is what the click takes of the processor: measured, or with ``--no-network``, which leaves the
passes out because nnInteractive makes hundreds, the sum of its parts. ``ratio`` is to nnInteractive's. On a
busy machine the wall time is an upper bound; passes and ratios hold.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import bench
import numpy as np
import torch
from click_overhead import bare_session
from scipy import ndimage
from torch import nn

from clopa_annotator.datasets.msd import MsdDataset
from clopa_annotator.datasets.organs import OrganSpec, make_organ
from clopa_annotator.evaluation.metrics import dice
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.types import Image, Mask, PointPrompt

THEIRS, OURS = "nnInteractive", "LocalSession"


@dataclass
class Cost:
    """What one click took."""

    passes: int = 0
    wall_s: float = 0.0
    processor_s: float = 0.0
    network_s: float = 0.0
    dice: float = 0.0


class Counting(nn.Module):
    """The network, counted; what is answered is its own, or the bright voxels of `shown`'s image."""

    def __init__(self, network: nn.Module, given: bench.Options) -> None:
        super().__init__()
        self.network, self.runs, self.own_answers = network, given.network, given.answers == "network"
        self.cost = Cost()

    def forward(self, patch: torch.Tensor) -> torch.Tensor:
        """Two channels for a (1, 8, k, j, i) patch."""
        started = time.process_time()
        answer: torch.Tensor = self.network(patch) if self.runs else patch[:, :2]
        self.cost.network_s += time.process_time() - started
        self.cost.passes += 1
        if self.own_answers:
            return answer
        image = patch[:, :1]
        return torch.cat((torch.zeros_like(image), image - 0.5), dim=1)


def shown(image: Image, mask: Mask) -> Image:
    """An image on which a threshold sees the reference: bright inside, dark outside, some noise."""
    noise = np.random.default_rng(0).normal(0, 0.1, mask.shape)
    share = mask.mean()
    levels = np.where(mask > 0, 1 - share, -share) + noise * np.sqrt(share * (1 - share))
    return replace(image, voxels=levels.astype(np.float32))


def deepest(region: np.ndarray) -> tuple[int, int, int] | None:
    """The voxel of a region that lies furthest from its outside."""
    if not region.any():
        return None
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1, 1:-1]
    k, j, i = (int(x) for x in np.unravel_index(int(depth.argmax()), depth.shape))
    return (k, j, i)


def next_click(mask: Mask, proposal: Mask) -> PointPrompt | None:
    """A click in the middle of the larger kind of error."""
    missing, surplus = (mask > 0) & (proposal == 0), (mask == 0) & (proposal > 0)
    positive = int(missing.sum()) >= int(surplus.sum())
    where = deepest(missing if positive else surplus)
    return None if where is None else PointPrompt(where, positive)


def annotate(model: LoadedModel, image: Image, mask: Mask, given: bench.Options) -> dict[str, list[Cost]]:
    """Each session's costs of the same clicks, which are placed by what `LocalSession` answered."""
    network = Counting(model.network, given)
    counted = replace(model, network=network, artifacts={**model.artifacts, "network": network})
    bare, buffer = bare_session(counted, image, network)
    session = LocalSession(counted)
    session.set_image(image)
    arms: dict[str, tuple[Callable[[PointPrompt], object], Callable[[], Mask]]] = {
        THEIRS: (bare, lambda: buffer),
        OURS: (session.add_prompt, lambda: session.proposal.mask),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in arms}
    for number in range(given.clicks):
        point = next_click(mask, session.proposal.mask)
        if point is None:
            break
        for name in (THEIRS, OURS) if number % 2 else (OURS, THEIRS):
            click, answer = arms[name]
            network.cost = Cost()
            wall, processor = time.perf_counter(), time.process_time()
            click(point)
            network.cost.wall_s = time.perf_counter() - wall
            network.cost.processor_s = time.process_time() - processor
            network.cost.dice = dice(answer(), mask)
            costs[name].append(network.cost)
    return costs


def a_pass(model: LoadedModel) -> float:
    """Processor time of one pass of the network, the median of three."""
    patch, seconds = torch.randn(1, 8, *model.patch_size_kji), []
    with torch.inference_mode():
        for _ in range(4):
            started = time.process_time()
            model.network(patch)
            seconds.append(time.process_time() - started)
    return statistics.median(seconds[1:])


def volumes(given: bench.Options) -> list[tuple[Image, Mask]]:
    """The images to click on, with their reference."""
    if given.dataset is None:
        return [make_organ(OrganSpec((36, 256, 256)), 0)]
    return [case.read() for case in list(MsdDataset(given.dataset, given.label))[: given.cases]]


def measure(given: bench.Options, scratch: Path) -> bench.Figures:
    """Medians over the cases, click by click."""
    model, about = bench.a_model(given.model, "cpu", scratch, (16, 32, 64, 128, 160))
    found: dict[tuple[int, str], list[Cost]] = {}
    images = volumes(given)
    for image, mask in images:
        seen = image if given.answers == "network" else shown(image, mask)
        for session, costs in annotate(model, seen, mask, given).items():
            for click, cost in enumerate(costs, start=1):
                found.setdefault((click, session), []).append(cost)
    rows, one = [], a_pass(model)
    for (click, session), costs in sorted(found.items()):
        taken = total(costs, one, given)
        row = {"click": click, "session": session, "cases": len(costs)}
        row |= {
            name: statistics.median(getattr(c, name) for c in costs) for name in ("passes", "wall_s", "dice")
        }
        row["own_cpu_s"] = statistics.median(c.processor_s - c.network_s for c in costs)
        rows.append({**row, "cpu_s": taken, "ratio": taken / total(found[click, THEIRS], one, given)})
    shape = "x".join(map(str, images[0][1].shape))
    return {**about, "image": shape, "network": given.network, "pass_cpu_s": one, "clicks": rows}


def total(costs: list[Cost], a_pass_s: float, given: bench.Options) -> float:
    """Median processor time of a click; the passes that were left out are counted."""
    left_out = 0.0 if given.network else a_pass_s
    return statistics.median(c.processor_s + c.passes * left_out for c in costs)


if __name__ == "__main__":
    where = {"--dataset": (Path, "folder in MSD layout; default: a generated organ"), "--label": int}
    sizes = {"--cases": (1, "of the dataset, the first ones"), "--clicks": 2, "--threads": 2}
    answers = {"choices": ("reference", "network"), "default": "reference"}
    network = {"--network": (True, "run the network")}
    options = {**where, "--model": (str, "name or folder"), **sizes, "--answers": answers, **network}
    bench.main(__doc__, measure, options)

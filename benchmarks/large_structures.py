"""What a click costs on a structure larger than the patch, `LocalSession` beside nnInteractive's session.

    python benchmarks/large_structures.py [--dataset DIR --label 1] [--clicks 2] [--json FILE]

Both sessions have the same network and get the same clicks in turn. Without ``--dataset`` the image is a
generated organ of 36 x 256 x 256 voxels. The network runs for its cost, and what is answered is the reference
as far as it shows at the look's own resolution, so that every look and every refinement that the organ needs
is made, whatever the network has learned. (``--answers network`` takes the network's own answers: right for
one that knows the organ, while one that does not never looks further.) Counted are passes of the network and
seconds of wall and of processor time, the latter without the network too; "ratio" is that of the processor
times to nnInteractive's. On a busy machine the wall time is an upper bound; passes and ratios hold.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from click_overhead import bare_session, find_model, machine
from scipy import ndimage
from torch import nn

from clopa_annotator.datasets.msd import MsdDataset
from clopa_annotator.datasets.organs import OrganSpec, make_organ
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.types import Image, Mask, PointPrompt

SESSIONS = ("nnInteractive", "LocalSession")


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

    def __init__(self, network: nn.Module, own_answers: bool) -> None:
        super().__init__()
        self.network, self.own_answers = network, own_answers
        self.cost = Cost()

    def forward(self, patch: torch.Tensor) -> torch.Tensor:
        """Two channels for a (1, 8, k, j, i) patch."""
        started = time.process_time()
        answer: torch.Tensor = self.network(patch)
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


def annotate(
    model: LoadedModel, image: Image, mask: Mask, clicks: int, own_answers: bool
) -> dict[str, list[Cost]]:
    """Each session's costs of the same clicks, which are placed by what `LocalSession` answered."""
    network = Counting(model.network, own_answers)
    counted = replace(model, network=network, artifacts={**model.artifacts, "network": network})
    bare, buffer = bare_session(counted, image, network)
    session = LocalSession(counted)
    session.set_image(image)
    arms: dict[str, tuple[Callable[[PointPrompt], object], Callable[[], Mask]]] = {
        SESSIONS[0]: (bare, lambda: buffer),
        SESSIONS[1]: (session.add_prompt, lambda: session.proposal.mask),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in arms}
    for number in range(clicks):
        point = next_click(mask, session.proposal.mask)
        if point is None:
            break
        for name in SESSIONS[:: 1 if number % 2 else -1]:
            click, answer = arms[name]
            network.cost = Cost()
            wall, processor = time.perf_counter(), time.process_time()
            click(point)
            network.cost.wall_s = time.perf_counter() - wall
            network.cost.processor_s = time.process_time() - processor
            found = answer()
            sizes = int(found.sum()) + int(mask.sum())
            network.cost.dice = 2 * int((found & mask).sum()) / max(1, sizes)
            costs[name].append(network.cost)
    return costs


def row(title: str, click: int, name: str, costs: list[Cost], theirs: list[Cost]) -> str:
    """One line of the table: medians over the cases."""

    def middle(of: list[Cost], attribute: str) -> float:
        return statistics.median(getattr(cost, attribute) for cost in of)

    without = statistics.median(cost.processor_s - cost.network_s for cost in costs)
    ratio = middle(costs, "processor_s") / middle(theirs, "processor_s")
    numbers = (middle(costs, "passes"), middle(costs, "wall_s"), middle(costs, "processor_s"), without)
    cells = " ".join(f"{n:9.2f}" for n in numbers)
    return f"{title:28} {click:5} {name:14} {cells} {ratio:8.3f} {middle(costs, 'dice'):7.4f}"


def volumes(given: argparse.Namespace) -> list[tuple[str, Image, Mask]]:
    """The images to click on, with their reference."""
    if given.dataset is None:
        image, mask = make_organ(OrganSpec((36, 256, 256)), 0)
        return [("generated organ", image, mask)]
    cases = list(MsdDataset(given.dataset, given.label))[: given.cases]
    return [(case.case_id, *case.read()) for case in cases]


def run(given: argparse.Namespace) -> dict[str, object]:
    """Measure, print, and return the numbers."""
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as scratch:
        model, name = find_model(given.model, Path(scratch))
    about = machine(model, name)
    print(" ".join(f"{key}={value}" for key, value in about.items()))
    rows: dict[tuple[int, str], list[Cost]] = {}
    own = given.answers == "network"
    shape = ""
    for _, image, mask in volumes(given):
        shape = "x".join(map(str, mask.shape))
        seen = image if own else shown(image, mask)
        for session, costs in annotate(model, seen, mask, given.clicks, own).items():
            for click, cost in enumerate(costs, start=1):
                rows.setdefault((click, session), []).append(cost)
    columns = f"{'passes':>9} {'wall s':>9} {'CPU s':>9} {'no net':>9} {'ratio':>8} {'Dice':>7}"
    print(f"\n{'image':28} click {'session':14} {columns}")
    for (click, session), costs in sorted(rows.items()):
        print(row(f"{len(costs)} x {shape}", click, session, costs, rows[click, SESSIONS[0]]))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"load average at the end: {load:.1f}")
    about["load_at_end"] = round(load, 2)
    return {
        "machine": about,
        "clicks": [
            {"click": c, "session": s, "costs": [vars(x) for x in costs]} for (c, s), costs in rows.items()
        ],
    }


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", type=Path, help="folder in MSD layout; default: a generated organ")
    parser.add_argument("--label", type=int, help="the target's label in the dataset")
    parser.add_argument("--cases", type=int, default=1, help="of the dataset, the first ones")
    parser.add_argument("--model", help="folder or name; default: the bundled model, else a generated one")
    parser.add_argument("--answers", choices=("reference", "network"), default="reference")
    parser.add_argument("--clicks", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write all numbers there")
    given = parser.parse_args()
    result = run(given)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

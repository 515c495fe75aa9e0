"""What pays at which cache size: groups, learning rates, updates, PI first, averaging with the base.

    python benchmarks/tuning.py --dataset DIR --out DIR [--model FOLDER] [--device auto] [--seed 0]
                                [--cases 5,10,25] [--groups in,cn,all] [--rates 1e-3,3e-3]
                                [--updates 50,100] [--starts base,pi] [--mix 0.5,1] [--test 24] [--clicks 10]

Every combination trains one episode as the trainer does, on the first cases of a stream, a fifth of them held
out, and is then tested on cases outside the stream through the real session. ``--starts pi`` lets OAIMS' PI
run once over the same training cases before the episode: can its quick first proposal and an episode's better
editing be had together? ``--mix 0.5`` also tests the weights halfway between base and candidate: averaging is
the cheapest anchor. Rows are appended to ``tuning.csv`` as they come, and a run that was stopped goes on
where it was; ``tuning.md`` holds the table, the best first. A command for an evening or a GPU.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from statistics import fmean

import torch

from clopa_annotator.datasets.msd import LabelledCase, MsdDataset, split_stream
from clopa_annotator.delta import DeltaInfo, changed, pack_delta, unpack_delta
from clopa_annotator.episode.folder import write_job
from clopa_annotator.episode.job import run_job
from clopa_annotator.episode.settings import EpisodeSettings
from clopa_annotator.evaluation.annotator import SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.protocol import ProtocolSettings, run_case
from clopa_annotator.geometry import BoundsKji, box_slices
from clopa_annotator.models import resolve
from clopa_annotator.online.settings import OaimsSettings
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.strategies import StrategySpec
from clopa_annotator.swap import apply_version
from clopa_annotator.types import CaseRef, EpisodeRequest, Image, Mask, PointPrompt, Split

FIELDS = (
    "cases", "start", "group", "rate", "updates", "mix", "seed",
    "dice_init", "dice_mean", "dice_last", "best_epoch", "train_s",
)  # fmt: skip
Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Arm:
    """One combination of settings."""

    cases: int
    start: str
    group: str
    rate: float
    updates: int
    seed: int

    @property
    def name(self) -> str:
        """A folder name."""
        return f"{self.cases}-{self.start}-{self.group}-{self.rate:g}-{self.updates}-{self.seed}"


class Stream:
    """Labelled cases in memory, read as the trainer reads a campaign."""

    def __init__(self, cases: Sequence[LabelledCase]) -> None:
        self.pairs = [case.read() for case in cases]
        self.refs = [
            CaseRef(case.case_id, 1, n, str(n), str(n), str(n), "") for n, case in enumerate(cases, start=1)
        ]

    def read_image(self, image_hash: str) -> Image:
        """An image."""
        return self.pairs[int(image_hash) - 1][0]

    def read_mask(self, ref: CaseRef) -> Mask:
        """A mask."""
        return self.pairs[ref.sequence - 1][1]

    def read_patch(self, image_hash: str, bounds_kji: BoundsKji) -> object:
        """A part of an image."""
        return self.read_image(image_hash).voxels[box_slices(bounds_kji)]

    def read_mask_patch(self, ref: CaseRef, bounds_kji: BoundsKji) -> Mask:
        """A part of a mask."""
        return self.read_mask(ref)[box_slices(bounds_kji)]


def learn_pi(model: LoadedModel, stream: Stream, count: int, seed: int) -> Weights:
    """One pass of PI over the first cases; the delta that it leaves."""
    apply_version(model, model.base_state(), None, 0)
    strategy = StrategySpec("pi", "", online=OaimsSettings(mid=False)).start_online(model)
    if strategy is None:
        raise RuntimeError("PI did not start.")
    for (image, mask), ref in zip(stream.pairs[:count], stream.refs, strict=False):
        first = SimulatedAnnotator(case_rng(seed, 0, ref.case_id)).initial(mask)
        strategy.start_case()
        strategy.after_confirm(image, [p for p in first if isinstance(p, PointPrompt)], mask, len(first))
    learned = {n: v.cpu() for n, v in strategy.persisted().items()}
    apply_version(model, model.base_state(), None, 0)
    return changed(learned, model.base_state())


def train(arm: Arm, model: LoadedModel, stream: Stream, out: Path) -> tuple[Weights, int, float]:
    """One episode: its delta, the epoch that it is from, and the seconds with PI's."""
    started = time.perf_counter()
    folder = out / "jobs" / arm.name
    folder.mkdir(parents=True, exist_ok=True)
    parent, held_out = None, max(1, arm.cases // 5)
    if arm.start == "pi":
        parent = out / f"pi-{arm.cases}-{arm.seed}.safetensors"
        if not parent.exists():
            info = DeltaInfo(model.model_hash, model.licence, "all", 0, seed=arm.seed)
            learned = learn_pi(model, stream, arm.cases - held_out, arm.seed)
            parent.write_bytes(pack_delta(learned, info))
    split = Split(
        tuple(range(1, arm.cases - held_out + 1)), tuple(range(arm.cases - held_out + 1, arm.cases + 1))
    )
    settings = replace(
        EpisodeSettings.quick(arm.group),
        learning_rate=arm.rate,
        epochs=4,
        updates=max(1, arm.updates // 4),
        threads=torch.get_num_threads(),
    )
    request = EpisodeRequest(1, arm.cases, split, parent_version=int(parent is not None), seed=arm.seed)
    write_job(folder, request, settings, stream.refs, model.folder, parent, campaign=out)
    result = run_job(folder, stream, model=model)  # type: ignore[arg-type]
    if result.status != "finished" or result.delta_path is None:
        raise RuntimeError(f"{arm.name}: {result.reason}")
    _, weights = unpack_delta(result.delta_path.read_bytes())
    return weights, result.best_epoch, time.perf_counter() - started


def test(
    model: LoadedModel, delta: Weights, mix: float, cases: Sequence[LabelledCase], clicks: int
) -> tuple[float, float, float]:
    """Mean Dice at the initial prompt, over all clicks, and at the last, on unseen cases."""
    base = model.base_state()
    mixed = {n: torch.lerp(base[n].float(), v.float(), mix) for n, v in delta.items()}
    apply_version(model, base, mixed, 1)
    session = LocalSession(model, cpu_precision=best_cpu_precision())
    protocol = ProtocolSettings(clicks=clicks, keep=())
    curves = []
    for case in cases:
        image, mask = case.read()
        annotator = SimulatedAnnotator(case_rng(1, 0, case.case_id))
        curves.append(run_case(session, image, mask, annotator, protocol).dice)
    apply_version(model, base, None, 0)
    means = [fmean(values) for values in zip(*curves, strict=True)]
    return means[0], fmean(means), means[-1]


def finished(path: Path) -> set[tuple[str, ...]]:
    """The combinations that have a row already."""
    if not path.exists():
        return set()
    with path.open(encoding="utf-8", newline="") as file:
        return {tuple(row[f] for f in FIELDS[:7]) for row in csv.DictReader(file)}


def append(path: Path, row: Sequence[object]) -> None:
    """Add a row; the first brings the header."""
    fresh = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if fresh:
            writer.writerow(FIELDS)
        writer.writerow(row)


def write_table(path: Path, machine: str) -> None:
    """The rows as Markdown, the best mean Dice first."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda r: -float(r["dice_mean"]))
    lines = [machine, "", "| " + " | ".join(FIELDS) + " |", "|" + "---|" * len(FIELDS)]
    lines += ["| " + " | ".join(row[f] for f in FIELDS) + " |" for row in rows]
    path.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(options: argparse.Namespace) -> None:
    """All combinations, one after another."""
    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out / "tuning.csv"
    model = load_model(resolve(options.model), options.device)
    stream_cases, tests = split_stream(
        MsdDataset(options.dataset), max(options.cases), options.test, options.seed
    )
    stream, done = Stream(stream_cases), finished(table)
    if ("0", "base", "none", "0", "0", "0", str(options.seed)) not in done:
        scores = test(model, {}, 0, tests, options.clicks)
        append(table, (0, "base", "none", 0, 0, 0, options.seed, *(f"{s:.4f}" for s in scores), 0, 0))
    grid = itertools.product(options.cases, options.starts, options.groups, options.rates, options.updates)
    for combination in grid:
        arm = Arm(*combination, options.seed)
        keys = {mix: _key(arm, mix) for mix in options.mix}
        if all(key in done for key in keys.values()):
            continue
        delta, best, seconds = train(arm, model, stream, options.out)
        for mix, key in keys.items():
            if key not in done:
                scores = test(model, delta, mix, tests, options.clicks)
                append(table, (*key, *(f"{s:.4f}" for s in scores), best, f"{seconds:.0f}"))
                print(arm.name, f"mix {mix:g}:", " ".join(f"{s:.3f}" for s in scores), flush=True)
    machine = f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
    today = f"{datetime.now(timezone.utc):%Y-%m-%d}"
    write_table(table, f"{today}, {machine}, {model.device}. {' '.join(sys.argv)}")


def _key(arm: Arm, mix: float) -> tuple[str, ...]:
    return (
        str(arm.cases), arm.start, arm.group, f"{arm.rate:g}", str(arm.updates), f"{mix:g}", str(arm.seed)
    )  # fmt: skip


def main(arguments: Iterable[str] | None = None) -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def listed(kind: type) -> object:
        return lambda text: [kind(part) for part in text.split(",")]

    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=listed(int), default=[5, 10, 25])
    parser.add_argument("--groups", type=listed(str), default=["in", "cn", "all"])
    parser.add_argument("--rates", type=listed(float), default=[1e-3, 3e-3])
    parser.add_argument("--updates", type=listed(int), default=[50, 100])
    parser.add_argument("--starts", type=listed(str), default=["base", "pi"])
    parser.add_argument("--mix", type=listed(float), default=[0.5, 1.0])
    parser.add_argument("--test", type=int, default=24)
    parser.add_argument("--clicks", type=int, default=10)
    run(parser.parse_args(None if arguments is None else list(arguments)))


if __name__ == "__main__":
    main()

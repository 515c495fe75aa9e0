"""How paired gains spread on real cases: the figures that ``benchmarks/gate_characteristics.py`` is fed with.

    python benchmarks/gate_spread.py --dataset DIR --out DIR [--train 8] [--test 12] [--clicks 10] [--runs 2]

Six sets of weights are made with the schedule quick, and each annotates the same unseen cases, twice with
other clicks:

* ``base``, and ``first``: an episode on the first cases of a stream;
* ``first-again``: the same with another seed. Neither is better: a *null* pair, apart by training noise only;
* ``second``: from ``first``, on twice the cases; ``second-again`` with another seed: a later null pair;
* ``shifted``: from ``first``, on masks that are shifted by two voxels: a *harmful* candidate.

The cases are those of ``benchmarks/tuning.py``'s development split. ``curves.csv`` gets a row per weights,
case and run; a set that is there already is left alone, so a run that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import bench
import numpy as np
import torch
from tuning_trial import Stream, Weights, development_split

from clopa_annotator.datasets.msd import LabelledCase, MsdDataset
from clopa_annotator.delta import DeltaInfo, pack_delta, unpack_delta
from clopa_annotator.episode.folder import write_job
from clopa_annotator.episode.job import run_job
from clopa_annotator.evaluation.annotator import SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.interaction_protocol import ProtocolSettings, run_case
from clopa_annotator.models import resolve
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.strategies import get_strategy
from clopa_annotator.swap import apply_version
from clopa_annotator.types import CaseRef, EpisodeRequest, Mask, Split

TABLE = "curves.csv"
SHIFT = 2


@dataclass(frozen=True)
class Made:
    """How weights are made: from which others, on how many times ``--train`` cases, with which seed."""

    name: str
    parent: str
    share: int
    seed: int
    shifted: bool = False


RECIPES = (
    Made("first", "base", 1, 1),
    Made("first-again", "base", 1, 2),
    Made("second", "first", 2, 3),
    Made("shifted", "first", 2, 3, shifted=True),
    Made("second-again", "first", 2, 4),
)


class Shifted(Stream):
    """A stream whose masks lie two voxels off."""

    def read_mask(self, ref: CaseRef) -> Mask:
        """A wrong mask."""
        return np.roll(super().read_mask(ref), SHIFT, axis=(0, 1, 2))


def train(made: Made, cases: int, model: LoadedModel, stream: Stream, out: Path) -> Weights:
    """One episode, kept as a file so that it is trained once."""
    kept = out / f"{made.name}.safetensors"
    if not kept.exists():
        parent = None if made.parent == "base" else out / f"{made.parent}.safetensors"
        request = EpisodeRequest(
            1, cases, Split(tuple(range(1, cases + 1))), int(parent is not None), seed=made.seed
        )
        settings = get_strategy("clopa-all").episode_settings("quick")
        assert settings is not None
        settings = replace(settings, threads=torch.get_num_threads())
        folder = out / "jobs" / made.name
        folder.mkdir(parents=True, exist_ok=True)
        write_job(folder, request, settings, stream.refs, model.folder, parent, campaign=out)
        result = run_job(folder, stream, model=model)  # type: ignore[arg-type]
        if result.status != "finished" or result.delta_path is None:
            raise RuntimeError(f"{made.name}: {result.reason}")
        weights = unpack_delta(result.delta_path.read_bytes())[1]
        kept.write_bytes(pack_delta(weights, DeltaInfo(model.model_hash, model.licence, "all", 0)))
    return dict(unpack_delta(kept.read_bytes())[1])


def curves(
    model: LoadedModel, weights: Weights, cases: Sequence[LabelledCase], clicks: int, runs: int
) -> Iterator[tuple[str, int, tuple[float, ...]]]:
    """Case, run and the Dice after each correction."""
    apply_version(model, model.base, weights, 1)
    session = LocalSession(model, cpu_precision=best_cpu_precision())
    for case in cases:
        image, mask = case.read()
        for run in range(runs):
            annotator = SimulatedAnnotator(case_rng(1, run, case.case_id))
            yield (
                case.case_id,
                run,
                run_case(session, image, mask, annotator, ProtocolSettings(clicks, keep=())).dice,
            )
    session.close()
    apply_version(model, model.base, None, 0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options and run."""
    numbers = {"--train": 8, "--test": 12, "--clicks": 10, "--runs": 2, "--seed": 0, "--threads": 1}
    paths = {name: {"type": Path, "required": True} for name in ("--dataset", "--out")}
    declared = {**paths, "--model": "bundled", "--device": "auto", **numbers}
    options = bench.options(__doc__, declared, arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    header = ("weights", "case", "run", *range(options.clicks + 1))
    table = bench.Rows(options.out / TABLE, header, ("weights",))
    model = load_model(resolve(options.model), options.device)
    dataset = MsdDataset(options.dataset)
    streamed, tests = development_split(dataset, 2 * options.train, options.test, options.seed)
    stream = {False: Stream(streamed), True: Shifted(streamed)}
    for made in (Made("base", "", 0, 0), *RECIPES):
        if (made.name,) in table.done():
            continue
        weights = {}
        if made.share:
            weights = train(made, made.share * options.train, model, stream[made.shifted], options.out)
        rows = [
            (made.name, case, run, *(f"{d:.4f}" for d in dice))
            for case, run, dice in curves(model, weights, tests, options.clicks, options.runs)
        ]
        table.add(*rows)
        print(made.name, np.mean([[float(d) for d in row[3:]] for row in rows], axis=0).round(3), flush=True)


if __name__ == "__main__":
    main()

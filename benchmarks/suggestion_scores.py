"""Which score tells how good a suggestion is: four of them on cases that an episode has not seen.

    python benchmarks/suggestion_scores.py --dataset DIR --delta FILE --out FILE.csv [--before FILE]
                                           [--skip 95] [--cases 30] [--seed 0] [--model bundled]
    python benchmarks/suggestion_scores.py --tables FILE.csv [FILE.csv ...]

``--delta`` holds weights that ``benchmarks/tuning.py`` or ``clopa simulate`` made (``delta.safetensors``),
``--before`` those of the version before (the base if it is left out). Cases are drawn as `split_stream` draws
them; ``--skip`` leaves those out that trained. One row per case: Dice without a click, and every score.

``--tables`` prints, per file, the rank correlation of each score with the Dice, and what calibration makes
of it: the cases are taken one after another, each expectation rests on those before it, twenty orders.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clopa_annotator.datasets.generated import open_dataset
from clopa_annotator.delta import unpack_delta
from clopa_annotator.evaluation.metrics import dice
from clopa_annotator.evaluation.suggestion_rows import rank_correlation
from clopa_annotator.models import resolve
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.session.suggesting import LocalSuggester, suggest
from clopa_annotator.suggestions import calibration as calibrating
from clopa_annotator.suggestions.calibration import Calibration
from clopa_annotator.suggestions.scores import (
    AGREEMENT,
    CHOSEN,
    REPROMPT,
    SURFACE,
    VERSIONS,
    overlap_of,
    reprompt_agreement,
    scores_of,
)
from clopa_annotator.swap import apply_version
from clopa_annotator.types import Outcome, Subject

SCORES = (AGREEMENT, SURFACE, REPROMPT, VERSIONS)
COMBINED = "agreement x surface"
FIELDS = ("case", "dice", *SCORES)
ORDERS = 20


@dataclass(frozen=True)
class Study:
    """The cases of one file."""

    name: str
    dice: tuple[float, ...]
    scores: dict[str, tuple[float, ...]]


def use(model: LoadedModel, delta: Path | None, version: int) -> None:
    """Put weights into the network."""
    tensors = None if delta is None else unpack_delta(delta.read_bytes())[1]
    apply_version(model, model.base, tensors, version)


def measure(options: argparse.Namespace) -> None:
    """One row per case; the two versions one after the other."""
    model = load_model(resolve(options.model), "auto")
    cases = list(open_dataset(options.dataset, None, options.out.parent / "volumes"))
    order = np.random.default_rng(options.seed).permutation(len(cases))
    chosen = [cases[int(n)] for n in order[options.skip : options.skip + options.cases]]
    suggester = LocalSuggester(model, best_cpu_precision())
    use(model, options.before, 1)
    earlier = {case.case_id: suggest(suggester, case.read()[0]).mask for case in chosen}
    use(model, options.delta, 2)
    session = LocalSession(model, cpu_precision=best_cpu_precision())
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        for case in chosen:
            image, reference = case.read()
            answer = suggest(suggester, image)
            scores = scores_of(answer)
            scores[REPROMPT] = reprompt_agreement(session, image, answer.mask)
            scores[VERSIONS] = overlap_of(answer.mask, earlier[case.case_id])
            row = (dice(answer.mask, reference), *(scores[name] for name in SCORES))
            writer.writerow((case.case_id, *(f"{value:.4f}" for value in row)))
            file.flush()


def read(path: Path) -> Study:
    """A file of `measure`."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    scores = {name: tuple(float(row[name]) for row in rows) for name in SCORES}
    scores[COMBINED] = tuple(
        math.sqrt(max(a * s, 0.0)) for a, s in zip(scores[AGREEMENT], scores[SURFACE], strict=True)
    )
    return Study(path.stem, tuple(float(row["dice"]) for row in rows), scores)


def foretold(study: Study, score: str) -> tuple[float, float, int]:
    """Mean absolute error and coverage of the expectations, and how many there were."""
    errors, held = [], []
    for order in range(ORDERS):
        past: list[Outcome] = []
        for place in np.random.default_rng(order).permutation(len(study.dice)):
            value, true = study.scores[score][place], study.dice[place]
            expected = Calibration(past).expect(value, 1)
            if expected.known:
                errors.append(abs(expected.dice - true))
                held.append(expected.low <= true <= expected.high)
            past.append(Outcome(Subject(str(place)), 1, {CHOSEN: value}, true, len(past) + 1))
    return float(np.mean(errors)), float(np.mean(held)), len(errors)


def tables(paths: Sequence[Path]) -> str:
    """Rank correlation per score and file, then what calibration makes of each."""
    studies = [read(path) for path in paths]
    names = (*SCORES, COMBINED)
    lines = ["| stream | cases | Dice | " + " | ".join(names) + " |", "|---" * (3 + len(names)) + "|"]
    for study in studies:
        found = [rank_correlation(study.scores[name], study.dice) for name in names]
        mean = float(np.mean(study.dice))
        lines.append(
            f"| {study.name} | {len(study.dice)} | {mean:.3f} | "
            + " | ".join(f"{rho:.2f}" for rho in found)
            + " |"
        )
    least = calibrating.CalibrationSettings().least
    lines += ["", f"Mean absolute error / coverage after {least} cases:", ""]
    lines += ["| stream | " + " | ".join(names) + " |", "|---" * (1 + len(names)) + "|"]
    for study in studies:
        found_2 = [foretold(study, name) for name in names]
        cells = " | ".join(f"{error:.3f} / {held:.2f}" for error, held, _ in found_2)
        lines.append(f"| {study.name} | {cells} |")
    return "\n".join(lines)


def main(arguments: Iterable[str] | None = None) -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset")
    parser.add_argument("--delta", type=Path)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--skip", type=int, default=95)
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--tables", type=Path, nargs="*")
    options = parser.parse_args(None if arguments is None else list(arguments))
    if options.tables:
        print(tables(options.tables))
        return
    if not (options.dataset and options.delta and options.out):
        parser.error("give --dataset, --delta and --out, or --tables")
    measure(options)


if __name__ == "__main__":
    main()

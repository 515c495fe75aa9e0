"""What pays at which cache size: groups, learning rates, updates, options of an episode, PI first.

    python benchmarks/tuning.py --dataset DIR --out DIR [--model FOLDER] [--device auto] [--seed 0]
                                [--cases 5,10,25,50] [--groups in,cn,all] [--rates 1e-3,1e-2]
                                [--updates 50,100] [--starts base,pi,episode] [--mix 0.5,1]
                                [--options "" "anchor=20" "averaging=0.95" "replay=0.25,steps=3"]
                                [--test 24] [--clicks 10] [--threads 0]

Every combination trains one episode as the trainer does, on the first cases of a stream, a fifth of them held
out, and is then tested on other cases through the real session. The cases are a *development split*: with the
same seed, none of them is tested on by ``clopa simulate --limit 48 --test-limit 24``, so that what is chosen
here does not flatter what is published from there.

``--options`` changes settings of the episode, several at once with commas; an empty text changes none.
``--starts pi`` lets OAIMS' PI run once over the same training cases before the episode: can its quick first
proposal and an episode's better editing be had together? ``--starts episode`` trains on from an episode of
``clopa-all`` with as many updates on the first half of the cases: what does a campaign's next episode want?
``--mix 0.5`` also tests the weights halfway between base and candidate. ``general`` is the mean Dice on
generated volumes of the kind that the base was trained on: what the episode forgot.

Rows are appended to ``tuning.csv`` as they come, and a run that was stopped goes on where it was;
``tuning.md`` holds the table, by cache size, the best first. ``train_s`` and ``test_s`` are seconds of
processor time.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import platform
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path

import torch
from tuning_trial import Arm, Stream, Weights, development_split, test, train

from clopa_annotator.datasets.msd import MsdDataset
from clopa_annotator.models import resolve
from clopa_annotator.session.model import load_model

KEY = ("cases", "start", "group", "rate", "updates", "options", "mix", "seed")
SCORES = ("dice_zero", "dice_init", "dice_mean", "dice_last", "general")
FIELDS = (*KEY, *SCORES, "best_epoch", "train_s", "test_s")


def finished(path: Path) -> set[tuple[str, ...]]:
    """The combinations that have a row already."""
    if not path.exists():
        return set()
    with path.open(encoding="utf-8", newline="") as file:
        return {tuple(row[f] for f in KEY) for row in csv.DictReader(file)}


def append(path: Path, row: Sequence[object]) -> None:
    """Add a row; the first brings the header."""
    fresh = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if fresh:
            writer.writerow(FIELDS)
        writer.writerow(row)


def write_table(path: Path, about: str) -> None:
    """The rows as Markdown: by cache size, the best mean Dice first."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda r: (int(r["cases"]), -float(r["dice_mean"])))
    lines = [about, "", "| " + " | ".join(FIELDS) + " |", "|" + "---|" * len(FIELDS)]
    lines += ["| " + " | ".join(row[f] for f in FIELDS) + " |" for row in rows]
    path.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(options: argparse.Namespace) -> None:
    """All combinations, one after another."""
    if options.threads:
        torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out / "tuning.csv"
    model = load_model(resolve(options.model), options.device)
    streamed, tests = development_split(
        MsdDataset(options.dataset), max(options.cases), options.test, options.seed
    )
    stream, done = Stream(streamed), finished(table)

    def tested(key: tuple[str, ...], delta: Weights, mix: float, best: int, train_s: float) -> None:
        started = time.process_time()
        scores = test(model, delta, mix, tests, options.clicks)
        test_s = time.process_time() - started
        append(table, (*key, *(f"{s:.3f}" for s in scores), best, f"{train_s:.0f}", f"{test_s:.0f}"))
        print(" ".join(key), "|", " ".join(f"{s:.3f}" for s in scores), flush=True)

    nothing = ("0", "base", "none", "0", "0", "", "0", str(options.seed))
    if nothing not in done:
        tested(nothing, {}, 0, 0, 0)
    grid = itertools.product(
        options.cases, options.starts, options.groups, options.rates, options.updates, options.options
    )
    for arm in (Arm(*combination, options.seed) for combination in grid):
        keys = {mix: arm.key(mix) for mix in options.mix if arm.key(mix) not in done}
        if keys:
            delta, best, seconds = train(arm, model, stream, options.out)
        for mix, key in keys.items():
            tested(key, delta, mix, best, seconds)
    machine = f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
    today = f"{datetime.now(timezone.utc):%Y-%m-%d}"
    write_table(
        table,
        f"{today}, {machine}, {model.device}, {options.test} test cases, {options.clicks} clicks, "
        f"weights {model.model_hash[:12]}.",
    )


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
    parser.add_argument("--cases", type=listed(int), default=[5, 10, 25, 50])
    parser.add_argument("--groups", type=listed(str), default=["in", "cn", "all"])
    parser.add_argument("--rates", type=listed(float), default=[1e-3, 1e-2])
    parser.add_argument("--updates", type=listed(int), default=[50, 100])
    parser.add_argument("--starts", type=listed(str), default=["base", "pi"])
    parser.add_argument("--mix", type=listed(float), default=[0.5, 1.0])
    parser.add_argument("--options", nargs="*", default=[""])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--test", type=int, default=24)
    parser.add_argument("--clicks", type=int, default=10)
    run(parser.parse_args(None if arguments is None else list(arguments)))


if __name__ == "__main__":
    main()

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

import itertools
import time
from collections.abc import Iterable
from pathlib import Path

import bench
from tuning_trial import Arm, Stream, Weights, development_split, test, train

from clopa_annotator.datasets.msd import MsdDataset
from clopa_annotator.models import resolve
from clopa_annotator.session.model import load_model

KEY = ("cases", "start", "group", "rate", "updates", "options", "mix", "seed")
SCORES = ("dice_zero", "dice_init", "dice_mean", "dice_last", "general")
FIELDS = (*KEY, *SCORES, "best_epoch", "train_s", "test_s")


def run(options: bench.Options) -> None:
    """All combinations, one after another; then the table, by cache size, the best mean Dice first."""
    table = bench.Rows(options.out / "tuning.csv", FIELDS, KEY)
    model = load_model(resolve(options.model), options.device)
    streamed, tests = development_split(
        MsdDataset(options.dataset), max(options.cases), options.test, options.seed
    )
    stream, done = Stream(streamed), table.done()

    def tested(key: tuple[str, ...], delta: Weights, mix: float, best: int, train_s: float) -> None:
        started = time.process_time()
        scores = test(model, delta, mix, tests, options.clicks)
        test_s = time.process_time() - started
        table.add((*key, *(f"{s:.3f}" for s in scores), best, f"{train_s:.0f}", f"{test_s:.0f}"))
        print(" ".join(key), "|", " ".join(f"{s:.3f}" for s in scores), flush=True)

    nothing = ("0", "base", "none", "0", "0", "", "0", str(options.seed))
    options.out.mkdir(parents=True, exist_ok=True)
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
    rows = sorted(table.read(), key=lambda r: (int(r["cases"]), -float(r["dice_mean"])))
    about = {**bench.stamp(), "device": str(model.device), "weights": model.model_hash[:12]}
    sizes = {"test cases": options.test, "clicks": options.clicks}
    text = bench.markdown({**about, **sizes, "arms": rows})
    table.path.with_suffix(".md").write_text(text + "\n", encoding="utf-8")


def main(arguments: Iterable[str] | None = None) -> None:
    """Read the options and run."""
    declared = {
        "--dataset": {"type": Path, "required": True},
        "--out": {"type": Path, "required": True},
        "--model": "bundled",
        "--device": "auto",
        "--seed": 0,
        "--cases": [5, 10, 25, 50],
        "--groups": ["in", "cn", "all"],
        "--rates": [1e-3, 1e-2],
        "--updates": [50, 100],
        "--starts": ["base", "pi"],
        "--mix": [0.5, 1.0],
        "--options": {"nargs": "*", "default": [""]},
        "--threads": 0,
        "--test": 24,
        "--clicks": 10,
    }
    run(bench.options(__doc__, declared, arguments))


if __name__ == "__main__":
    main()

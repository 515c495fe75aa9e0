"""How often the gate is wrong: its operating characteristics, simulated, beside those of simpler gates.

    python benchmarks/gate_characteristics.py [--candidates 20000] [--seed 0] [--spread 0.036]
                                              [--curves CURVES.csv]

A candidate has a true gain in the score (mean Dice over first proposal and corrections). It is judged on some
held-out cases; if it comes into use, ten more cases are confirmed, each replayed with the old and the new
weights. Printed is the share of candidates that are promoted, and the share that are in use ten cases later.
The rule is the product's own (`registry.evidence.Rule`, the very functions).

Gates:

* ``before``: the gate until 28 November 2026. The best of an episode's four epochs and its start is picked by
  its validation windows on the same held-out cases; then any mean gain promotes, for good.
* ``no selection``: the last epoch; any mean gain promotes, for good.
* ``e-value``: any mean gain promotes; in use afterwards only if a betting martingale on the ten new
  differences, bounded to +-0.2, reaches 20 (Waudby-Smith and Ramdas 2024): it assumes nothing of the spread.
* ``entry only``: the product's rule without its probation.
* ``product``: entry, and probation. ``product, first episode``: on top of the untouched base, where a gain is
  expected.

Differences are normal around the true gain with the spread that is given, or Student t with three degrees of
freedom (``heavy``), or drawn from the pairs of a ``curves.csv`` of ``benchmarks/gate_spread.py``, centred.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import bench
import numpy as np
import numpy.typing as npt

from clopa_annotator.registry.evidence import Evidence, Rule, Tally

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
HELD_OUT = (1, 2, 4, 8)
GAINS = (-0.05, -0.02, 0.0, 0.01, 0.02, 0.05)
LATER = 10
BOUND, WEALTH = 0.2, 20.0


@dataclass(frozen=True)
class World:
    """Candidates of one kind.

    Attributes:
        gain: true gain in the score.
        first: true gain of the first proposal.
        last: true gain after the last correction.
        noise: standardised (candidates, cases, 3) noise of the three differences.
        spread: standard deviations of the three.
    """

    gain: float
    first: float
    last: float
    noise: Callable[[np.random.Generator, int, int], Numbers]
    spread: tuple[float, float, float]

    def draw(self, rng: np.random.Generator, candidates: int, cases: int) -> Numbers:
        """(3, candidates, cases) differences of score, first proposal and last correction."""
        noise = self.noise(rng, candidates, cases) * np.array(self.spread)
        return np.moveaxis(noise + np.array([self.gain, self.first, self.last]), -1, 0)


def gaussian(rng: np.random.Generator, candidates: int, cases: int) -> Numbers:
    """Three normal differences; first proposal and last correction go along with the score in part."""
    own = rng.standard_normal((candidates, cases, 3))
    own[..., 1] = 0.7 * own[..., 0] + np.sqrt(1 - 0.7**2) * own[..., 1]
    own[..., 2] = 0.5 * own[..., 0] + np.sqrt(1 - 0.5**2) * own[..., 2]
    return own


def heavy(rng: np.random.Generator, candidates: int, cases: int) -> Numbers:
    """The same with the tails of Student's t with three degrees of freedom, scaled to variance one."""
    scale = np.sqrt(rng.chisquare(3, (candidates, cases, 1)))  # t_3 = normal sqrt(3) / chi_3, variance 3
    return gaussian(rng, candidates, cases) / scale


def resampled(pairs: Numbers) -> Callable[[np.random.Generator, int, int], Numbers]:
    """Centred and standardised differences of real pairs, drawn with replacement."""
    standard = (pairs - pairs.mean(axis=0)) / pairs.std(axis=0)

    def draw(rng: np.random.Generator, candidates: int, cases: int) -> Numbers:
        chosen: Numbers = standard[rng.integers(len(standard), size=(candidates, cases))]
        return chosen

    return draw


def evidence(differences: Numbers) -> Evidence:
    """The product's sums."""
    return Evidence(*(Tally.of(part) for part in differences))


def before(world: World, rng: np.random.Generator, candidates: int, held_out: int) -> tuple[Flags, Flags]:
    """The best of five states by windows on the held-out cases; then any mean gain."""
    common = world.draw(rng, candidates, held_out)[0].mean(axis=1) - world.gain
    gains = np.zeros((candidates, 5))  # the start competes, and gains nothing
    for epoch in range(1, 5):
        own = world.draw(rng, candidates, held_out)[0].mean(axis=1) - world.gain
        gains[:, epoch] = world.gain + np.sqrt(0.5) * (common + own)
    windows = gains + rng.normal(0, world.spread[0] / np.sqrt(max(4, held_out)), gains.shape)
    chosen = np.take_along_axis(gains, windows.argmax(axis=1)[:, None], axis=1)[:, 0]
    return chosen > 0, chosen > 0


def no_selection(
    world: World, rng: np.random.Generator, candidates: int, held_out: int
) -> tuple[Flags, Flags]:
    """The last state; any mean gain."""
    promoted = world.draw(rng, candidates, held_out)[0].mean(axis=1) > 0
    return promoted, promoted


def e_value(world: World, rng: np.random.Generator, candidates: int, held_out: int) -> tuple[Flags, Flags]:
    """Any mean gain; then a bet on each new difference, as large as those before make it wise."""
    promoted = world.draw(rng, candidates, held_out)[0].mean(axis=1) > 0
    new = np.clip(world.draw(rng, candidates, LATER)[0], -BOUND, BOUND) / BOUND
    wealth, best = np.ones(candidates), np.ones(candidates)
    for case in range(LATER):
        past = new[:, :case]
        mean = past.sum(axis=1) / (case + 1)
        variance = (0.25 + (past**2).sum(axis=1)) / (case + 1)
        bet = np.clip(mean / variance, 0, 0.5)
        wealth = wealth * (1 + bet * new[:, case])
        best = np.maximum(best, wealth)
    return promoted, promoted & (best >= WEALTH)


def entry_only(world: World, rng: np.random.Generator, candidates: int, held_out: int) -> tuple[Flags, Flags]:
    """The product's entry, for good."""
    admitted = Rule().admits(evidence(world.draw(rng, candidates, held_out)))
    return admitted, admitted


def product(
    world: World, rng: np.random.Generator, candidates: int, held_out: int, first: bool = False
) -> tuple[Flags, Flags]:
    """Entry and probation, as `registry.gate` does them."""
    rule = Rule()
    known = evidence(world.draw(rng, candidates, held_out))
    admitted = rule.admits(known, first=first)
    open_, in_use = admitted.copy(), admitted.copy()
    for seen in range(1, LATER + 1):
        known = known + evidence(world.draw(rng, candidates, 1))
        standing = rule.standing(known, seen)
        in_use &= ~(open_ & (standing < 0))
        open_ &= standing == 0
    return admitted, in_use


Gate = Callable[[World, np.random.Generator, int, int], tuple[Flags, Flags]]
GATES: dict[str, Gate] = {
    "before": before,
    "no selection": no_selection,
    "e-value": e_value,
    "entry only": entry_only,
    "product": product,
    "product, first episode": partial(product, first=True),
}


def shares(gate: Gate, world: World, candidates: int, held_out: int, seed: int) -> tuple[float, float]:
    """Share of candidates that are promoted, and that are in use ten cases later."""
    promoted, later = gate(world, np.random.default_rng(seed), candidates, held_out)
    return float(promoted.mean()), float(later.mean())


def differences_in(path: Path, pairs: Sequence[tuple[str, str]]) -> Numbers:
    """(pairs x cases, 3) differences of score, first proposal and last correction, mean over the runs."""
    curves: dict[tuple[str, str], list[Numbers]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            curve = np.array([float(v) for name, v in row.items() if name.isdecimal()])
            curves.setdefault((row["weights"], row["case"]), []).append(curve)
    mean = {key: np.mean(runs, axis=0) for key, runs in curves.items()}
    found = []
    for old, new in pairs:
        for case in sorted(case for weights, case in mean if weights == old):
            change = mean[new, case] - mean[old, case]
            found.append((change.mean(), change[0], change[-1]))
    return np.array(found)


NULL_PAIRS = (("first", "first-again"), ("second", "second-again"))


def worlds(kind: str, spread: float, curves: Path | None) -> Callable[[float], World]:
    """Makes the world of a true gain: corrections gain .3 of it, first proposals 1.8 times as much."""
    noise, spreads = (
        {"normal": gaussian, "heavy": heavy}.get(kind, gaussian),
        (spread, 2 * spread, 0.8 * spread),
    )
    if kind == "real" and curves is not None:
        pairs = differences_in(curves, NULL_PAIRS)
        noise = resampled(pairs)
        spreads = (float(pairs[:, 0].std()), float(pairs[:, 1].std()), float(pairs[:, 2].std()))
    return lambda gain: World(gain, 1.8 * gain, 0.3 * gain, noise, spreads)


HEADER = [f"{n} held out" for n in HELD_OUT]


def cells(gate: Gate, world: World, options: bench.Options) -> list[str]:
    """By held-out cases: promoted / in use ten cases later, in per cent."""
    found = [shares(gate, world, options.candidates, n, options.seed) for n in HELD_OUT]
    return [f"{100 * promoted:.1f} / {100 * later:.1f}" for promoted, later in found]


def show(title: str, gate: Gate, of: Callable[[float], World], options: bench.Options) -> None:
    """Print a gate's table: rows by true gain."""
    rows = [[f"{gain:+.2f}", *cells(gate, of(gain), options)] for gain in GAINS]
    print(f"\n### {title}\n\n" + bench.table(["true gain", *HEADER], rows), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options and print the tables."""
    declared = {"--candidates": 20000, "--seed": 0, "--spread": 0.036, "--curves": Path}
    options = bench.options(__doc__, declared, arguments)
    kinds = ["normal", "heavy", *(["real"] if options.curves else [])]
    for kind in kinds:
        of = worlds(kind, options.spread, options.curves)
        for name in GATES if kind == "normal" else ("product",):
            show(f"{name}, {kind} differences", GATES[name], of, options)
    for spread in (0.06, 0.1):
        for name in ("product", "product, first episode"):
            of = worlds("normal", spread, None)
            show(f"{name}, normal differences with a spread of {spread}", GATES[name], of, options)
    harmful = World(0.03, 0.16, -0.05, gaussian, (options.spread, 2 * options.spread, 0.8 * options.spread))
    print("\n### Better first proposals (+.16), better score (+.03), worse after ten corrections (-.05)\n")
    print(bench.table(["gate", *HEADER], [[n, *cells(gate, harmful, options)] for n, gate in GATES.items()]))


if __name__ == "__main__":
    main()

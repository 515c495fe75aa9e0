"""Surface Dice (NSD) of this project beside the package that defined it.

    python benchmarks/nsd.py

Needs the reference package: ``pip install surface-distance``. Three sizes, from a hippocampus to a liver in a
512 x 512 x 300 volume, each with a proposal late in an annotation (nearly right) and a first one (poor).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from clopa_annotator.evaluation.metrics import nsd, surface_areas

warnings.filterwarnings("ignore", category=DeprecationWarning)
CASES = {
    "hippocampus 40 x 50 x 35, 1 mm": ((40, 50, 35), (1.0, 1.0, 1.0), 1.0, 9),
    "prostate 20 x 320 x 320, 3.6 x 0.6 mm": ((20, 320, 320), (3.6, 0.6, 0.6), 4.0, 45),
    "liver 300 x 512 x 512, 1.5 x 0.8 mm": ((300, 512, 512), (1.5, 0.8, 0.8), 7.0, 110),
}


def organ(shape: tuple[int, ...], radius: int, shift: float, seed: int) -> np.ndarray:
    """A bumpy ball around the middle of the volume, moved by ``shift`` of its radius."""
    rng = np.random.default_rng(seed)
    half = np.minimum(np.array(shape) * 0.42, radius)
    grid = [np.linspace(0, n - 1, n) for n in shape]
    axes = np.meshgrid(*grid, indexing="ij", sparse=True)
    bumps = ndimage.zoom(rng.normal(0, 0.12, (5, 5, 5)), [n / 5 for n in shape], order=1)
    centre = np.array(shape) / 2 + shift * half
    distance = sum(((a - c) / h) ** 2 for a, c, h in zip(axes, centre, half, strict=True))
    return distance <= (1 + bumps[tuple(slice(0, n) for n in shape)]) ** 2


def seconds(function: Callable[[], float], repeats: int) -> tuple[float, float]:
    """Best time of ``repeats`` calls, and the value."""
    best, value = float("inf"), 0.0
    for _ in range(repeats):
        started = time.perf_counter()
        value = function()
        best = min(best, time.perf_counter() - started)
    return best, value


def main() -> None:
    """Print a Markdown table."""
    import surface_distance

    surface_areas((1.0, 1.0, 1.0))  # MONAI's import is not what is measured
    print("| case | proposal | NSD | here, ms | surface-distance, ms | times faster |")
    print("|---|---|---:|---:|---:|---:|")
    for name, (shape, spacing, tolerance_mm, radius) in CASES.items():
        reference = organ(shape, radius, 0.0, 0)
        for stage, shift, seed in (("late", 0.02, 0), ("first", 0.4, 1)):
            proposal = organ(shape, radius, shift, seed)

            def ours(proposal: np.ndarray = proposal, reference: np.ndarray = reference) -> float:
                return nsd(proposal, reference, spacing, tolerance_mm)  # noqa: B023 - called at once

            def theirs(proposal: np.ndarray = proposal, reference: np.ndarray = reference) -> float:
                distances = surface_distance.compute_surface_distances(reference, proposal, spacing)  # noqa: B023
                return surface_distance.compute_surface_dice_at_tolerance(distances, tolerance_mm)  # noqa: B023

            (fast, value), (slow, expected) = seconds(ours, 3), seconds(theirs, 1)
            if abs(value - expected) > 1e-6:
                raise SystemExit(f"{name}, {stage}: {value} here, {expected} there")
            times = f"{fast * 1e3:.0f} | {slow * 1e3:.0f} | {slow / fast:.1f}"
            print(f"| {name} | {stage} | {value:.3f} | {times} |")


if __name__ == "__main__":
    main()

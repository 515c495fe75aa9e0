"""Surface Dice (NSD) of this project beside the package that defined it.

    python benchmarks/nsd.py

Needs the reference package: ``pip install surface-distance``. Three sizes, from a hippocampus to a liver in a
512 x 512 x 300 volume, each with a proposal late in an annotation (nearly right) and a first one (poor).
"""

from __future__ import annotations

import warnings
from pathlib import Path

import bench
import numpy as np
from scipy import ndimage

from clopa_annotator.evaluation.metrics import nsd, surface_areas

warnings.filterwarnings("ignore", category=DeprecationWarning)
Spacing = tuple[float, float, float]
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


def measure(given: bench.Options, _scratch: Path) -> bench.Figures:
    """Every case, late and first; the best of each one's times."""
    import surface_distance

    surface_areas((1.0, 1.0, 1.0))  # MONAI's import is not what is measured

    def theirs(proposal: np.ndarray, reference: np.ndarray, spacing: Spacing, tolerance_mm: float) -> float:
        distances = surface_distance.compute_surface_distances(reference, proposal, spacing)
        return float(surface_distance.compute_surface_dice_at_tolerance(distances, tolerance_mm))

    rows = []
    for title, (shape, spacing, tolerance_mm, radius) in CASES.items():
        reference = organ(shape, radius, 0.0, 0)
        for stage, shift, seed in (("late", 0.02, 0), ("first", 0.4, 1)):
            told = (organ(shape, radius, shift, seed), reference, spacing, tolerance_mm)
            found: dict[str, float] = {}
            ways = {
                name: lambda way=way, name=name, told=told, found=found: found.update({name: way(*told)})
                for name, way in (("here_ms", nsd), ("surface_distance_ms", theirs))
            }
            best = {way: 1e3 * min(times) for way, times in bench.rounds(ways, given.repeats, 0).items()}
            value, expected = found.values()
            if abs(value - expected) > 1e-6:
                raise SystemExit(f"{title}, {stage}: {value} here, {expected} there")
            faster = best["surface_distance_ms"] / best["here_ms"]
            rows.append({"case": title, "proposal": stage, "nsd": value, **best, "times_faster": faster})
    return {"cases": rows}


if __name__ == "__main__":
    bench.main(__doc__, measure, {"--repeats": 2})

"""What every generated volume shares: tissues around the target, a scanner's blur, bias and noise, a grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from clopa_annotator.geometry import Geometry, Kji

Field = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


def smooth_field(rng: np.random.Generator, shape: Kji, sigma: float) -> Field:
    """Smooth random (k, j, i) field with zero mean and unit standard deviation; sigma in voxels."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="reflect")
    field -= field.mean()
    return np.asarray(field / field.std(), dtype=np.float32)


def tissues(rng: np.random.Generator, shape: Kji, levels: npt.ArrayLike, sigma: float = 5.0) -> Field:
    """Piecewise constant (k, j, i) background of tissues with these mean intensities, in random places."""
    field, means = smooth_field(rng, shape, sigma), np.asarray(levels, dtype=np.float32)
    shares = np.linspace(0, 1, means.size + 1)[1:-1]
    labels = np.digitize(field, np.quantile(field, shares))
    return np.asarray(means[labels], dtype=np.float32)


def ellipsoid(shape: Kji, centre: npt.ArrayLike, half_axes: npt.ArrayLike, bumps: Field) -> Flags:
    """A bumpy ellipsoid; ``bumps`` is a relative change of its radius at each voxel."""
    axes = np.indices(shape, dtype=np.float32)
    parts = zip(axes, np.asarray(centre, float), np.asarray(half_axes, float), strict=True)
    distance = np.sqrt(sum(((x - c) / h) ** 2 for x, c, h in parts))
    return np.asarray(distance < 1 + bumps, dtype=np.bool_)


def largest_part(flags: Flags) -> Flags:
    """The largest part connected by faces, edges or corners; the first of equals, nothing of nothing."""
    labels, count = ndimage.label(flags, structure=np.ones((3, 3, 3)))
    if count < 2:
        return flags
    return np.asarray(labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])), dtype=np.bool_)


def scan(rng: np.random.Generator, volume: Field, bias: float, noise: float) -> npt.NDArray[np.int16]:
    """Partial volume, bias field and noise, in the order in which a scanner adds them.

    Args:
        rng: source of every random choice.
        volume: ideal (k, j, i) intensities between 0 and about 1.5.
        bias: relative amplitude of the bias field.
        noise: standard deviation of the noise, on the same scale as ``volume``.

    Returns:
        1000 times the intensities.
    """
    (k, j, i) = volume.shape
    blurred = ndimage.gaussian_filter(volume, rng.uniform(0.4, 0.7))
    blurred *= np.exp(bias * 0.5 * smooth_field(rng, (k, j, i), 14.0))
    blurred += rng.standard_normal((k, j, i), dtype=np.float32) * noise
    return np.asarray(np.rint(blurred * 1000).clip(-500, 3000), dtype=np.int16)


def grid(rng: np.random.Generator, shape: Kji, max_slice_ratio: float) -> Geometry:
    """A voxel grid somewhere in the world, with slices up to ``max_slice_ratio`` times as thick as wide."""
    in_plane = float(rng.uniform(0.8, 1.2))
    thickness = in_plane * float(rng.uniform(1.0, max_slice_ratio))
    origin = rng.uniform(-50.0, 50.0, size=3)
    return Geometry(shape, (in_plane, in_plane, thickness), (origin[0], origin[1], origin[2]))

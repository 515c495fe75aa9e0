"""What a session refuses, in words; shared by every session. No torch here.

Nothing is clipped, rounded or otherwise repaired when that would change what the annotator meant. What only
differs in how it is stored (byte order, negative strides, booleans as masks) is accepted by copying.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import numpy as np
import numpy.typing as npt

from clopa_annotator.errors import GeometryError, ImageError, PromptError, UnsupportedPrompt
from clopa_annotator.geometry import BoundsKji, Kji, box_shape
from clopa_annotator.types import Image, Mask, Prompt, PromptKind
from clopa_annotator.types.prompts import parts_of

_INTERACTIONS = {
    PromptKind.POINT: ("points",),
    PromptKind.BOX: ("bbox2d", "bbox3d"),
    PromptKind.SCRIBBLE: ("scribble",),
    PromptKind.LASSO: ("lasso",),
    PromptKind.MASK: ("initial_label",),
}


def kinds_known(knows: Callable[[str], bool]) -> frozenset[PromptKind]:
    """The kinds of prompt of a model that knows some of nnInteractive's interactions."""
    return frozenset(kind for kind, names in _INTERACTIONS.items() if any(map(knows, names)))


def usable_voxels(image: Image) -> npt.NDArray[np.generic]:
    """The image's voxels in native byte order, C-contiguous; the same array if it already is.

    Raises:
        ImageError: not 3D, a single slice, empty, not real numbers, constant (in its nonzero region), or with
            NaN, infinite or too large values.
        GeometryError: the grid's shape is not the array's.
    """
    voxels = usable_array(image.voxels)
    if voxels.shape != tuple(image.geometry.shape_kji):
        raise GeometryError(
            f"The image has {_by(voxels.shape)} voxels, but its geometry says"
            f" {_by(image.geometry.shape_kji)}. Load the volume again."
        )
    return voxels


def usable_array(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """What `usable_voxels` does, for voxels without a geometry.

    Raises:
        ImageError: as there.
    """
    voxels = np.asarray(array)
    _check_shape(voxels)
    if voxels.dtype.kind not in "iuf":
        raise ImageError(
            f"The image's voxels are of type {voxels.dtype}; a session takes whole or real numbers."
            " Convert the volume to a scalar image first."
        )
    voxels = np.ascontiguousarray(voxels, voxels.dtype.newbyteorder("="))
    lowest, highest = voxels.min(), voxels.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise ImageError(
            "The image has voxels that are NaN or infinite. Replace them by numbers, for instance by zero."
        )
    if max(abs(float(lowest)), abs(float(highest))) > float(np.finfo(np.float32).max):
        raise ImageError("The image has values too large for single precision. Rescale its intensities.")
    if lowest == highest:
        raise ImageError(
            f"All voxels of the image have the same value ({lowest}), so there is nothing to see in it."
            " Check that the right volume is loaded."
        )
    _check_nonzero_region(voxels, float(lowest), float(highest))
    return voxels


def _check_nonzero_region(voxels: npt.NDArray[np.generic], lowest: float, highest: float) -> None:
    """Refuse what cannot be normalised: nnInteractive takes mean and deviation inside the nonzero region.

    It finds the region by sums along the axes, so values that cancel out are zero to it. A session finds this
    out by itself, but only when a case is opened; whoever adds one asks before it is stored.
    """
    if lowest > 0 or highest < 0:
        return  # the region is the whole image, which varies
    faces = (voxels[0], voxels[-1], voxels[:, 0], voxels[:, -1], voxels[:, :, 0], voxels[:, :, -1])
    if all(face.sum(dtype=np.float64) != 0 for face in faces):
        return  # the region reaches every side: the same
    plane = voxels.sum(axis=0, dtype=np.float64)
    sums = (voxels.sum(axis=(1, 2), dtype=np.float64), plane.sum(axis=1), plane.sum(axis=0))
    found = [np.flatnonzero(along) for along in sums]
    if any(hits.size == 0 for hits in found):
        raise ImageError(
            "The image's intensities cannot be normalised because they cancel out along an axis."
            " Add a constant to the image, or use the original values."
        )
    k, j, i = (slice(int(hits[0]), int(hits[-1]) + 1) for hits in found)
    region = voxels[k, j, i]
    if region.min() == region.max():
        raise ImageError(
            f"The image has two values only, and inside its nonzero region every voxel is {region.flat[0]}:"
            " there is nothing to see in it. Check that the right volume is loaded, not a mask."
        )


def _check_shape(voxels: npt.NDArray[np.generic]) -> None:
    if voxels.ndim != 3:
        what = "a vector or time series" if voxels.ndim > 3 else "not a volume"
        raise ImageError(
            f"The image has {voxels.ndim} axes and is {what}; a session takes one scalar volume with three."
            " Choose a single component or time point."
        )
    if voxels.size == 0:
        raise ImageError(f"The image has no voxels (its shape is {voxels.shape}). Load another volume.")
    if min(voxels.shape) < 2:
        raise ImageError(
            f"The image of {_by(voxels.shape)} voxels is a single slice. A volume with several is needed."
        )


def check_prompts(
    prompts: Sequence[Prompt], shape_kji: Kji, supported: Set[PromptKind], takes_3d_boxes: bool
) -> tuple[Prompt, ...]:
    """The prompts as a tuple, if each fits the image and the model.

    Raises:
        PromptError: none given, or one of them is outside the image, of another shape, empty or not binary.
        UnsupportedPrompt: the model was not trained with one of them.
    """
    prompts = tuple(prompts)
    if not prompts:
        raise PromptError("No prompt was given. Give at least one click, box or drawing.")
    for prompt in prompts:
        if not isinstance(prompt, Prompt):
            raise PromptError(f"A {type(prompt).__name__} is no prompt. Give a point, box, drawing or mask.")
        if prompt.kind not in supported:
            known = ", ".join(sorted(kind.value for kind in supported)) or "none"
            raise UnsupportedPrompt(
                f"The loaded model was not trained with a {prompt.kind.value} as prompt. It knows: {known}."
            )
        _check_parts(prompt.kind, parts_of(prompt), shape_kji, takes_3d_boxes)
    return prompts


def _check_parts(kind: PromptKind, parts: Mapping[str, Any], shape_kji: Kji, takes_3d_boxes: bool) -> None:
    bounds, mask = parts.get("bounds_kji"), parts.get("mask")
    if "position_kji" in parts:
        _check_point(parts["position_kji"], shape_kji)
    if bounds is not None:
        _check_bounds(bounds, shape_kji, kind)
        if mask is None:
            _check_box(bounds, takes_3d_boxes)
        else:
            _check_drawing(kind, mask, bounds)
    elif mask is not None:
        _check_mask(mask, shape_kji)


def binary_mask(mask: npt.NDArray[np.generic]) -> Mask:
    """The mask as a fresh, C-contiguous uint8 array of 0 and 1.

    Raises:
        PromptError: a value is neither 0 nor 1.
    """
    mask = np.asarray(mask)
    if mask.dtype.kind not in "biuf" or not np.all((mask == 0) | (mask == 1)):
        raise PromptError(
            "The drawn region or mask holds values other than 0 and 1. Give one segment as a binary mask."
        )
    return np.array(mask, np.uint8, order="C")


def _check_point(position: Sequence[int], shape_kji: Kji) -> None:
    if len(position) != 3 or not all(_is_whole(x) for x in position):
        raise PromptError(f"A point needs three whole voxel indices (k, j, i), but has {position}.")
    if not all(0 <= x < n for x, n in zip(position, shape_kji, strict=True)):
        raise PromptError(
            f"The point (k, j, i) = {tuple(int(x) for x in position)} lies outside the image of"
            f" {_by(shape_kji)} voxels. Click inside the image."
        )


def _check_bounds(bounds: BoundsKji, shape_kji: Kji, kind: PromptKind) -> None:
    whole = len(bounds) == 3 and all(len(pair) == 2 and all(_is_whole(x) for x in pair) for pair in bounds)
    if not whole:
        raise PromptError(f"The {kind.value} needs three pairs of whole voxel indices, but has {bounds}.")
    if any(high <= low for low, high in bounds):
        raise PromptError(
            f"The {kind.value} {bounds} is empty or turned around: along each axis its end must come"
            " after its start. Draw it again."
        )
    if any(low < 0 or high > n for (low, high), n in zip(bounds, shape_kji, strict=True)):
        raise PromptError(
            f"The {kind.value} {bounds} reaches outside the image of {_by(shape_kji)} voxels."
            " Draw it inside the image."
        )


def _check_box(bounds: BoundsKji, takes_3d_boxes: bool) -> None:
    if not takes_3d_boxes and 1 not in box_shape(bounds):
        raise UnsupportedPrompt(
            f"The box {bounds} has depth along all three axes, but the loaded model takes flat"
            " boxes only. Draw the box on one slice."
        )


def _check_drawing(kind: PromptKind, mask: Mask, bounds: BoundsKji) -> None:
    if np.shape(mask) != box_shape(bounds):
        raise PromptError(
            f"The {kind.value} has shape {np.shape(mask)}, but its box has {_by(box_shape(bounds))} voxels."
        )
    if not binary_mask(mask).any():
        raise PromptError(f"The {kind.value} is empty. Draw at least one voxel.")


def _check_mask(mask: Mask, shape_kji: Kji) -> None:
    if np.shape(mask) != tuple(shape_kji):
        raise PromptError(
            f"The mask to start from has shape {_by(np.shape(mask))}, but the image has"
            f" {_by(shape_kji)} voxels. Resample the mask to the image first."
        )
    binary_mask(mask)


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _by(shape: Sequence[int]) -> str:
    return "x".join(str(n) for n in shape) or "no"

"""Prompts, images and proposals as JSON and named arrays, for a session that lives in another process.

A prompt's region travels as an array beside the JSON, under a name that the JSON gives. Reading checks types
and sizes; what a session itself checks (inside the image, binary, supported) is left to the session.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from clopa_annotator.errors import InputError, PromptError
from clopa_annotator.geometry import BoundsKji, Geometry
from clopa_annotator.types import (
    BoxPrompt,
    LassoPrompt,
    Mask,
    MaskPrompt,
    PointPrompt,
    Prompt,
    PromptKind,
    ScribblePrompt,
    TimedPrompt,
)

Arrays = dict[str, npt.NDArray[Any]]
Row = dict[str, Any]

_LARGEST = 1 << 31


def prompts_to_wire(prompts: Sequence[Prompt | TimedPrompt]) -> tuple[list[Row], Arrays]:
    """JSON rows, and the arrays that they refer to."""
    rows: list[Row] = []
    arrays: Arrays = {}
    for index, item in enumerate(prompts):
        prompt = item.prompt if isinstance(item, TimedPrompt) else item
        row: Row = {"kind": prompt.kind.value}
        if isinstance(item, TimedPrompt):
            row["at_s"] = float(item.at_s)
        if not isinstance(prompt, MaskPrompt):
            row["positive"] = bool(prompt.positive)
        if isinstance(prompt, PointPrompt):
            row["position_kji"] = [int(x) for x in prompt.position_kji]
        elif not isinstance(prompt, MaskPrompt):
            row["bounds_kji"] = bounds_to_wire(prompt.bounds_kji)
        if isinstance(prompt, ScribblePrompt | LassoPrompt | MaskPrompt):
            row["mask"] = f"prompt{index}"
            arrays[row["mask"]] = np.ascontiguousarray(prompt.mask)
        rows.append(row)
    return rows, arrays


def prompts_from_wire(rows: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[Prompt, ...]:
    """The inverse of `prompts_to_wire`, without times.

    Raises:
        PromptError: malformed.
    """
    return tuple(_prompt(row, arrays) for row in _rows(rows))


def timed_from_wire(rows: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[TimedPrompt, ...]:
    """The inverse of `prompts_to_wire`, with times.

    Raises:
        PromptError: malformed.
    """
    return tuple(TimedPrompt(_prompt(row, arrays), number(row.get("at_s", 0.0))) for row in _rows(rows))


def _rows(rows: Any) -> list[Row]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise PromptError("The list of prompts is malformed.")
    return rows


def _prompt(row: Row, arrays: Mapping[str, npt.NDArray[Any]]) -> Prompt:
    try:
        kind = PromptKind(row.get("kind"))
    except ValueError as error:
        raise PromptError("A prompt has a kind that this engine does not know.") from error
    positive = row.get("positive", True)
    if not isinstance(positive, bool):
        raise PromptError("A prompt is neither positive nor negative.")
    if kind is PromptKind.POINT:
        position = row.get("position_kji")
        if not isinstance(position, list) or len(position) != 3:
            raise PromptError("A point needs three indices.")
        k, j, i = (integer(x) for x in position)
        return PointPrompt((k, j, i), positive)
    if kind is PromptKind.BOX:
        return BoxPrompt(bounds_from_wire(row.get("bounds_kji")), positive)
    mask = arrays.get(str(row.get("mask")))
    if mask is None or mask.ndim != 3:
        raise PromptError("A drawn prompt lacks its region.")
    if kind is PromptKind.MASK:
        return MaskPrompt(_as_mask(mask))
    region = ScribblePrompt if kind is PromptKind.SCRIBBLE else LassoPrompt
    return region(_as_mask(mask), bounds_from_wire(row.get("bounds_kji")), positive)


def _as_mask(array: npt.NDArray[Any]) -> Mask:
    if array.dtype == np.bool_:
        return array.view(np.uint8)
    if array.dtype != np.uint8:
        raise PromptError("A mask travels as 8-bit numbers or bool.")
    mask: Mask = array
    return mask


def bounds_to_wire(bounds: BoundsKji) -> list[list[int]]:
    """A box as nested lists."""
    return [[int(low), int(high)] for low, high in bounds]


def bounds_from_wire(value: Any) -> BoundsKji:
    """The inverse of `bounds_to_wire`.

    Raises:
        PromptError: malformed.
    """
    sides = value if isinstance(value, list) else []
    if len(sides) != 3 or not all(isinstance(side, list) and len(side) == 2 for side in sides):
        raise PromptError("A box needs a lower and an upper bound along each of three axes.")
    (a, b, c) = ((integer(low), integer(high)) for low, high in sides)
    return (a, b, c)


def geometry_to_wire(geometry: Geometry) -> Row:
    """A voxel grid as JSON."""
    return {
        "shape_kji": list(geometry.shape_kji),
        "spacing_ijk_mm": list(geometry.spacing_ijk_mm),
        "origin_lps_mm": list(geometry.origin_lps_mm),
        "direction": list(geometry.direction),
    }


def geometry_from_wire(row: Any) -> Geometry:
    """The inverse of `geometry_to_wire`.

    Raises:
        InputError: malformed; `GeometryError` if well-formed but impossible.
    """
    values = row if isinstance(row, dict) else {}
    lengths = {"shape_kji": 3, "spacing_ijk_mm": 3, "origin_lps_mm": 3, "direction": 9}
    for name, length in lengths.items():
        if not isinstance(values.get(name), list) or len(values[name]) != length:
            raise InputError(f"The image's geometry is malformed: {name} needs {length} numbers.")
    k, j, i = (integer(n) for n in values["shape_kji"])
    x, y, z = (number(n) for n in values["spacing_ijk_mm"])
    a, b, c = (number(n) for n in values["origin_lps_mm"])
    return Geometry((k, j, i), (x, y, z), (a, b, c), tuple(number(n) for n in values["direction"]))


def integer(value: Any) -> int:
    """A whole number of reasonable size.

    Raises:
        PromptError: it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _LARGEST:
        raise PromptError("A whole number was expected where something else came.")
    return value


def number(value: Any) -> float:
    """A finite number.

    Raises:
        InputError: it is none.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) < 1e300:
        raise InputError("A finite number was expected where something else came.")
    if not math.isfinite(value):
        raise InputError("A finite number was expected where something else came.")
    return float(value)

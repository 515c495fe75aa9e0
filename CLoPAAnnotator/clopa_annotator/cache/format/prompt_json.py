"""Prompts with their times as plain JSON values, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clopa_annotator.cache.format.regions import (
    bounds_from_json,
    mask_from_json,
    mask_to_json,
    region_from_json,
    region_to_json,
)
from clopa_annotator.errors import CorruptRecord
from clopa_annotator.geometry import Kji
from clopa_annotator.types import (
    BoxPrompt,
    LassoPrompt,
    MaskPrompt,
    PointPrompt,
    Prompt,
    ScribblePrompt,
    TimedPrompt,
)


def prompt_to_json(timed: TimedPrompt) -> dict[str, Any]:
    """One prompt: kind, time, sign, and where."""
    prompt = timed.prompt
    values: dict[str, Any] = {"kind": prompt.kind.value, "at_s": float(timed.at_s)}
    if isinstance(prompt, MaskPrompt):
        return {**values, **mask_to_json(prompt.mask)}
    values["positive"] = bool(prompt.positive)
    if isinstance(prompt, PointPrompt):
        return {**values, "position_kji": [int(x) for x in prompt.position_kji]}
    if isinstance(prompt, BoxPrompt):
        return {**values, "bounds_kji": [[int(lo), int(hi)] for lo, hi in prompt.bounds_kji]}
    return {**values, **region_to_json(prompt.mask, prompt.bounds_kji)}


def prompt_from_json(values: Mapping[str, Any], shape_kji: Kji) -> TimedPrompt:
    """The inverse of `prompt_to_json`.

    Args:
        values: as stored.
        shape_kji: shape of the case's image.

    Raises:
        CorruptRecord: an unknown kind, a missing value, or bits that do not fill their box.
    """
    try:
        return TimedPrompt(_prompt(values, shape_kji), float(values["at_s"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptRecord(f"A stored prompt cannot be read: {error}.") from error


def _prompt(values: Mapping[str, Any], shape_kji: Kji) -> Prompt:
    kind = values["kind"]
    if kind == "mask":
        return MaskPrompt(mask_from_json(values, shape_kji))
    positive = bool(values["positive"])
    if kind == "point":
        k, j, i = (int(x) for x in values["position_kji"])
        return PointPrompt((k, j, i), positive)
    if kind == "box":
        return BoxPrompt(bounds_from_json(values["bounds_kji"]), positive)
    if kind == "scribble":
        return ScribblePrompt(*region_from_json(values), positive)
    if kind == "lasso":
        return LassoPrompt(*region_from_json(values), positive)
    raise CorruptRecord(f"A stored prompt has the unknown kind {kind!r}; a newer version may read it.")


def prompts_to_json(prompts: Sequence[TimedPrompt]) -> list[dict[str, Any]]:
    """Prompts in order."""
    return [prompt_to_json(p) for p in prompts]


def prompts_from_json(values: Sequence[Mapping[str, Any]], shape_kji: Kji) -> tuple[TimedPrompt, ...]:
    """The inverse of `prompts_to_json`."""
    return tuple(prompt_from_json(v, shape_kji) for v in values)

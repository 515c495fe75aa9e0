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
from clopa_annotator.types.prompts import Prompt, PromptKind, TimedPrompt, part_names, parts_of, prompt_of


def prompt_to_json(timed: TimedPrompt) -> dict[str, Any]:
    """One prompt: kind, time, sign, and where."""
    parts = parts_of(timed.prompt)
    values: dict[str, Any] = {"kind": timed.prompt.kind.value, "at_s": float(timed.at_s)}
    if "positive" in parts:
        values["positive"] = bool(parts["positive"])
    if "position_kji" in parts:
        values["position_kji"] = [int(x) for x in parts["position_kji"]]
    if "mask" in parts:
        bounds = parts.get("bounds_kji")
        return {
            **values,
            **(region_to_json(parts["mask"], bounds) if bounds else mask_to_json(parts["mask"])),
        }
    if "bounds_kji" in parts:
        values["bounds_kji"] = [[int(lo), int(hi)] for lo, hi in parts["bounds_kji"]]
    return values


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
    try:
        kind = PromptKind(values["kind"])
    except ValueError as error:
        raise CorruptRecord(
            f"A stored prompt has the unknown kind {values['kind']!r}; a newer version may read it."
        ) from error
    names = part_names(kind)
    parts: dict[str, Any] = {}
    if "positive" in names:
        parts["positive"] = bool(values["positive"])
    if "position_kji" in names:
        k, j, i = (int(x) for x in values["position_kji"])
        parts["position_kji"] = (k, j, i)
    if "mask" in names and "bounds_kji" in names:
        parts["mask"], parts["bounds_kji"] = region_from_json(values)
    elif "mask" in names:
        parts["mask"] = mask_from_json(values, shape_kji)
    elif "bounds_kji" in names:
        parts["bounds_kji"] = bounds_from_json(values["bounds_kji"])
    return prompt_of(kind, parts)


def prompts_to_json(prompts: Sequence[TimedPrompt]) -> list[dict[str, Any]]:
    """Prompts in order."""
    return [prompt_to_json(p) for p in prompts]


def prompts_from_json(values: Sequence[Mapping[str, Any]], shape_kji: Kji) -> tuple[TimedPrompt, ...]:
    """The inverse of `prompts_to_json`."""
    return tuple(prompt_from_json(v, shape_kji) for v in values)

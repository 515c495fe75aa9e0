"""The interface's messages as JSON, there and back; used by the engine and by its client, torch-free."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from clopa_annotator.case_order import CaseSettings
from clopa_annotator.errors import ConfigError, InputError, NotAnEngine, VersionMismatch
from clopa_annotator.geometry import bounding_box, box_slices
from clopa_annotator.types import (
    CaseRef,
    CaseState,
    GateDecision,
    Imported,
    Mask,
    PromptKind,
    Slot,
    SuggestionUse,
    Target,
    Targets,
    WeightsVersion,
)
from clopa_annotator.types.review import Verdict
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.learning_messages import EpisodeRow, LearningState
from clopa_annotator.wire.messages import CaseRow, CaseStatistics, Draft, EngineInfo, SlotRow
from clopa_annotator.wire.session_messages import prompts_to_wire, timed_from_wire
from clopa_annotator.wire.suggestion_messages import mark_from_wire

Row = dict[str, Any]
_LONGEST_TEXT = 4000
T = TypeVar("T")


def _mapping(row: Any) -> Mapping[str, Any]:
    if not isinstance(row, Mapping):
        raise NotAnEngine("The answer cannot be understood: is it a CLoPA engine that answers there?")
    return row


def _read(row: Any, name: str, read: Callable[[Any], T]) -> T:
    """One value of a row; raises `NotAnEngine` or `VersionMismatch`."""
    try:
        return read(_mapping(row)[name])
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise VersionMismatch(
            f"The engine's answer lacks {name!r} as this client knows it; update the older of the two."
        ) from error


def _plain(kind: type[T], row: Any, **read: Any) -> T:
    """Build a dataclass from JSON: unknown keys (of a newer engine) are ignored, lists become tuples."""
    row = _mapping(row)
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items() if k in names}
    try:
        return kind(**{**values, **read})
    except TypeError as error:
        raise VersionMismatch("The engine's answer lacks something; update the older of the two.") from error


def slot_to_wire(slot: Slot) -> Row:
    """Which target a mask is of, and which of several of a kind."""
    return {"target": slot.target, "instance": slot.instance}


def slot_from_wire(row: Any) -> Slot:
    """The inverse of `slot_to_wire`; nothing said is the campaign's first target.

    Raises:
        InputError: not a key and a number.
    """
    if row is None:
        return FIRST
    if not isinstance(row, Mapping) or not isinstance(row.get("target", ""), str):
        raise InputError("A target travels as its key and the number of the instance.")
    return Slot(row.get("target", ""), row.get("instance", 1))


def others_to_wire(
    others: Iterable[tuple[Slot, Mask]],
) -> tuple[list[Row], dict[str, npt.NDArray[Any]]]:
    """Other targets' masks, and their arrays: each cut to the box that holds it."""
    rows, arrays = [], {}
    for number, (slot, mask) in enumerate(others):
        box = bounding_box(mask)
        if box is not None:
            rows.append({"slot": slot_to_wire(slot), "shape": list(mask.shape), "bounds_kji": box})
            arrays[f"other{number}"] = mask[box_slices(box)]
            rows[-1]["array"] = f"other{number}"
    return rows, arrays


def others_from_wire(rows: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[tuple[Slot, Mask], ...]:
    """The inverse of `others_to_wire`."""
    return tuple(
        (_answered_slot(row), _read({"row": row}, "row", lambda row: _whole(row, arrays)))
        for row in rows or ()
    )


def _whole(row: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Mask:
    whole = np.zeros(tuple(int(n) for n in row["shape"]), np.uint8)
    (k, j, i) = ((int(low), int(high)) for low, high in row["bounds_kji"])
    whole[box_slices((k, j, i))] = arrays[row["array"]]
    return whole


def targets_to_wire(targets: Iterable[Target]) -> list[Row]:
    """What a campaign segments, in order."""
    return [target.to_dict() for target in targets]


def targets_from_wire(rows: Any) -> Targets:
    """The inverse of `targets_to_wire`.

    Raises:
        ConfigError: none, two of one name or key, or incomplete.
    """
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ConfigError("The targets travel as a list, each with its name and key.")
    return Targets(Target.from_dict(row) for row in rows)


def _answered_slot(row: Any) -> Slot:
    """The slot of an engine's answer; raises `VersionMismatch`."""
    try:
        return slot_from_wire(_mapping(row).get("slot"))
    except InputError as error:
        raise VersionMismatch(
            "The engine's answer names a target as this client cannot read it; update the older of the two."
        ) from error


def _slot_row_from_wire(row: Any) -> SlotRow:
    read: Row = {"slot": _answered_slot(row), "state": _read(row, "state", CaseState)}
    read["suggestion"] = mark_from_wire(_mapping(row).get("suggestion"))
    if "verdict" in _mapping(row):  # engines of before there were reviews do not say it
        read["verdict"] = _read(row, "verdict", Verdict)
    return _plain(SlotRow, row, **read)


def case_row_to_wire(row: CaseRow) -> Row:
    """A case's row."""
    slots = [{**asdict(s), "state": s.state.value, "verdict": s.verdict.value} for s in row.slots]
    return {**asdict(replace(row, slots=())), "state": row.state.value, "slots": slots}


def case_row_from_wire(row: Any) -> CaseRow:
    """The inverse of `case_row_to_wire`."""
    slots = tuple(_slot_row_from_wire(s) for s in _mapping(row).get("slots") or ())
    return _plain(CaseRow, row, state=_read(row, "state", CaseState), slots=slots)


def ref_to_wire(ref: CaseRef) -> Row:
    """A confirmed version."""
    return asdict(ref)


def ref_from_wire(row: Any) -> CaseRef:
    """The inverse of `ref_to_wire`."""
    return _plain(CaseRef, row, slot=_answered_slot(row))


def statistics_to_wire(row: CaseStatistics) -> Row:
    """One confirmation's numbers."""
    return {**asdict(row), "suggestion": row.suggestion.value}


def statistics_from_wire(row: Any) -> CaseStatistics:
    """The inverse of `statistics_to_wire`."""
    use = suggestion_use_from_wire(_mapping(row).get("suggestion"))
    return _plain(CaseStatistics, row, slot=_answered_slot(row), suggestion=use)


def suggestion_use_from_wire(value: Any) -> SuggestionUse:
    """What was made of a suggestion; nothing said is none.

    Raises:
        InputError: no such use.
    """
    try:
        return SuggestionUse.NONE if value is None else SuggestionUse(value)
    except ValueError as error:
        known = ", ".join(use.value for use in SuggestionUse)
        raise InputError(f"What was made of a suggestion is one of {known}, not {value!r}.") from error


def learning_to_wire(state: LearningState) -> Row:
    """The learning panel's line."""
    return asdict(state)


def learning_from_wire(row: Any) -> LearningState:
    """The inverse of `learning_to_wire`."""
    return _plain(LearningState, row)


def episode_to_wire(row: EpisodeRow) -> Row:
    """One episode."""
    return asdict(row)


def episode_from_wire(row: Any) -> EpisodeRow:
    """The inverse of `episode_to_wire`."""
    return _plain(EpisodeRow, row)


def info_to_wire(info: EngineInfo) -> Row:
    """Who answers."""
    supported = sorted(kind.value for kind in info.supported)
    return {**asdict(info), "supported": supported, "targets": targets_to_wire(info.targets)}


def info_from_wire(row: Any) -> EngineInfo:
    """The inverse of `info_to_wire`."""
    known = {kind.value: kind for kind in PromptKind}  # a newer engine may know more
    return _plain(
        EngineInfo,
        row,
        supported=_read(row, "supported", lambda kinds: frozenset(known[k] for k in kinds if k in known)),
        targets=_read(row, "targets", lambda rows: tuple(targets_from_wire(rows))),
        cases=_read({"cases": {}, **_mapping(row)}, "cases", case_settings_from_wire),
    )


def case_settings_from_wire(row: Any) -> CaseSettings:
    """How cases come; raises `ConfigError` for what cannot be, also for values of another type."""
    if not isinstance(row, Mapping):
        raise ConfigError("How cases come travels as an order and the share without a suggestion.")
    values = {k: v for k, v in row.items() if k in CaseSettings.__dataclass_fields__}
    return CaseSettings(**values)


def version_to_wire(version: WeightsVersion) -> Row:
    """A weights version."""
    return asdict(version)


def version_from_wire(row: Any) -> WeightsVersion:
    """The inverse of `version_to_wire`."""
    values = _mapping(row)
    read = {
        name: _plain(GateDecision, values[name]) if values.get(name) else None
        for name in ("decision", "verdict")
    }
    return _plain(WeightsVersion, row, **read)


def imported_from_wire(row: Any) -> Imported:
    """Where a label came from.

    Raises:
        InputError: a value is missing, of another type, or too long.
    """
    names = Imported.__dataclass_fields__
    values = {k: v for k, v in row.items() if k in names} if isinstance(row, Mapping) else {}
    resampled = values.get("resampled", False)
    texts = [v for k, v in values.items() if k != "resampled"]
    good = all(isinstance(v, str) and len(v) <= _LONGEST_TEXT for v in texts) and isinstance(resampled, bool)
    if not good or not all(values.get(k) for k in ("import_id", "source", "format", "sha256")):
        raise InputError("The message does not say where the label came from.")
    return Imported(**values)


def own_mask(mask: Mask) -> Mask:
    """A mask that nobody else changes: a copy, unless it is read-only, which is its giver's promise."""
    return mask.copy() if mask.flags.writeable else mask


def draft_to_wire(draft: Draft) -> tuple[Row, dict[str, npt.NDArray[Any]]]:
    """A draft, and its arrays."""
    rows, arrays = prompts_to_wire(draft.prompts)
    row: Row = {"prompts": rows, "seconds_active": float(draft.seconds_active)}
    row["suggestion"] = draft.suggestion.value
    if draft.imported is not None:
        row["imported"] = asdict(draft.imported)
    return row, {**arrays, "mask": draft.mask}


def draft_from_wire(row: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Draft:
    """The inverse of `draft_to_wire`."""
    prompts = timed_from_wire(_mapping(row).get("prompts", []), arrays)
    imported = imported_from_wire(row["imported"]) if row.get("imported") else None
    use = suggestion_use_from_wire(row.get("suggestion"))
    return Draft(arrays["mask"], prompts, float(row.get("seconds_active", 0.0)), imported, use)

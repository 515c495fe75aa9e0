"""The interface's messages as JSON, there and back; used by the engine and by its client, torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

import numpy.typing as npt

from clopa_annotator.errors import EngineError, VersionMismatch
from clopa_annotator.types import CaseRef, CaseState, GateDecision, Mask, PromptKind, WeightsVersion
from clopa_annotator.wire.messages import (
    CaseRow,
    CaseStatistics,
    Draft,
    EngineInfo,
    EpisodeRow,
    LearningState,
)
from clopa_annotator.wire.session_messages import prompts_to_wire, timed_from_wire

Row = dict[str, Any]
T = TypeVar("T")


def _plain(kind: type[T], row: Any, **read: Any) -> T:
    """Build a dataclass from JSON: unknown keys (of a newer engine) are ignored, lists become tuples."""
    if not isinstance(row, Mapping):
        raise EngineError("The engine's answer cannot be understood; update the older of the two.")
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items() if k in names}
    try:
        return kind(**{**values, **read})
    except TypeError as error:
        raise VersionMismatch("The engine's answer lacks something; update the older of the two.") from error


def case_row_to_wire(row: CaseRow) -> Row:
    """A case's row."""
    return {**asdict(row), "state": row.state.value}


def case_row_from_wire(row: Any) -> CaseRow:
    """The inverse of `case_row_to_wire`."""
    return _plain(CaseRow, row, state=CaseState(row["state"]))


def ref_to_wire(ref: CaseRef) -> Row:
    """A confirmed version."""
    return asdict(ref)


def ref_from_wire(row: Any) -> CaseRef:
    """The inverse of `ref_to_wire`."""
    return _plain(CaseRef, row)


def statistics_to_wire(row: CaseStatistics) -> Row:
    """One confirmation's numbers."""
    return asdict(row)


def statistics_from_wire(row: Any) -> CaseStatistics:
    """The inverse of `statistics_to_wire`."""
    return _plain(CaseStatistics, row)


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
    return {**asdict(info), "supported": sorted(kind.value for kind in info.supported)}


def info_from_wire(row: Any) -> EngineInfo:
    """The inverse of `info_to_wire`."""
    return _plain(EngineInfo, row, supported=frozenset(PromptKind(kind) for kind in row["supported"]))


def version_to_wire(version: WeightsVersion) -> Row:
    """A weights version."""
    return asdict(version)


def version_from_wire(row: Any) -> WeightsVersion:
    """The inverse of `version_to_wire`."""
    decision = row.get("decision")
    return _plain(WeightsVersion, row, decision=_plain(GateDecision, decision) if decision else None)


def own_mask(mask: Mask) -> Mask:
    """A mask that nobody else changes: a copy, unless it is read-only, which is its giver's promise."""
    return mask.copy() if mask.flags.writeable else mask


def draft_to_wire(draft: Draft) -> tuple[Row, dict[str, npt.NDArray[Any]]]:
    """A draft, and its arrays."""
    rows, arrays = prompts_to_wire(draft.prompts)
    return {"prompts": rows, "seconds_active": float(draft.seconds_active)}, {**arrays, "mask": draft.mask}


def draft_from_wire(row: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Draft:
    """The inverse of `draft_to_wire`."""
    return Draft(
        arrays["mask"], timed_from_wire(row.get("prompts", []), arrays), float(row.get("seconds_active", 0.0))
    )

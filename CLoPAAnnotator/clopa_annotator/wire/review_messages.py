"""Messages about reviews as JSON, there and back; torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy.typing as npt

from clopa_annotator.errors import ConfigError, InputError, VersionMismatch
from clopa_annotator.types.review import Comparison, PairAgreement, ReviewRow

OTHER = "The engine's answer about reviews is not as this client knows it; update the older of the two."
_WRONG = (KeyError, TypeError, ValueError, AttributeError, ConfigError, InputError)


def review_row_from_wire(row: Any) -> ReviewRow:
    """One line of a review's list; the inverse of `ReviewRow.to_dict`. Raises `VersionMismatch`."""
    try:
        return ReviewRow.from_dict(row)
    except _WRONG as error:
        raise VersionMismatch(OTHER) from error


def agreement_to_wire(pair: PairAgreement) -> dict[str, Any]:
    """One pair of people and target; what is not known is None."""
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(pair).items()}


def agreement_from_wire(row: Any) -> PairAgreement:
    """The inverse of `agreement_to_wire`; keys of a newer version are ignored. Raises `VersionMismatch`."""
    try:
        names = PairAgreement.__dataclass_fields__
        known: dict[str, Any] = {k: math.nan if v is None else v for k, v in row.items() if k in names}
        return PairAgreement(**known)
    except _WRONG as error:
        raise VersionMismatch(OTHER) from error


def comparison_from_wire(row: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Comparison:
    """What a version under review can be held against. Raises `VersionMismatch`."""
    try:
        k, j, i = (int(n) for n in row["shape_kji"])
        earlier, suggested_by = row.get("earlier_version"), row.get("suggested_by")
    except _WRONG as error:
        raise VersionMismatch(OTHER) from error
    return Comparison((k, j, i), earlier, arrays.get("earlier"), suggested_by, arrays.get("suggestion"))

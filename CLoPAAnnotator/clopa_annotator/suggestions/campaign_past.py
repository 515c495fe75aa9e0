"""What a campaign's confirmed cases say about its suggestions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from clopa_annotator.suggestions.calibration import Calibration, CalibrationSettings
from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder
from clopa_annotator.types import CaseRef, Expectation

ABLE = 0.5
"""Dice from which on the untouched base model's suggestions are worth showing."""


class ConfirmedCases(Protocol):
    """The current confirmed versions; `CampaignReader` fulfils it."""

    def confirmed(self) -> Sequence[CaseRef]:
        """One for each case that has one."""
        ...


def calibration_of(
    campaign: Path,
    store: ConfirmedCases,
    target: str = "",
    settings: CalibrationSettings | None = None,
) -> Calibration:
    """The calibration of one target; outcomes of withdrawn and corrected confirmations do not count.

    Args:
        campaign: the campaign's folder.
        store: says what is confirmed.
        target: key of the target.
        settings: None for the usual ones.
    """
    current = {(ref.case_id, ref.sequence) for ref in store.confirmed()}
    outcomes = SuggestionFolder(campaign).outcomes(target)
    return Calibration(
        [o for o in outcomes if (o.subject.case_id, o.sequence) in current], settings or CalibrationSettings()
    )


def may_be_shown(weights_version: int, expected: Expectation) -> bool:
    """Whether a suggestion is shown at all: the base model's only once confirmed cases prove it able."""
    return weights_version > 0 or (expected.known and expected.dice >= ABLE)

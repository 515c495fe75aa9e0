"""Which outcomes of a campaign count, and when the base model may suggest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clopa_annotator.suggestions.calibration import CalibrationSettings
from clopa_annotator.suggestions.campaign_past import calibration_of, may_be_shown
from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder
from clopa_annotator.types import CaseRef, Expectation, Subject, Suggestion


@dataclass
class Store:
    refs: list[CaseRef]

    def confirmed(self) -> list[CaseRef]:
        return self.refs


def test_only_what_is_confirmed_now_counts(tmp_path: Path) -> None:
    folder = SuggestionFolder(tmp_path)
    mask = np.ones((3, 3, 3), np.uint8)
    for number, name in enumerate(("kept", "withdrawn", "corrected"), start=1):
        folder.keep(Suggestion(Subject(name), mask, 1, {"agreement": 0.9}))
        folder.confirmed(Subject(name), mask, number)
    folder.keep(Suggestion(Subject("kept", "other"), mask, 1, {"agreement": 0.9}))
    folder.confirmed(Subject("kept", "other"), mask, 1)
    store = Store([CaseRef("kept", 1, 1, "", "", "", ""), CaseRef("corrected", 2, 9, "", "", "", "")])
    assert calibration_of(tmp_path, store).cases == 1
    assert calibration_of(tmp_path, store, "other").cases == 1
    known = calibration_of(tmp_path, store, settings=CalibrationSettings(least=1)).expect(0.9, 1)
    assert known.known and known.cases == 1


def test_the_base_suggests_nothing_before_it_has_proved_able() -> None:
    assert may_be_shown(1, Expectation())
    assert not may_be_shown(0, Expectation(cases=3))
    assert not may_be_shown(0, Expectation(0.3, 0.1, 0.5, 8))
    assert may_be_shown(0, Expectation(0.7, 0.5, 0.8, 8))

"""The list of a review says how good a case's suggestion was, and was expected to be by the other cases."""

from __future__ import annotations

import math
from pathlib import Path

import cache_helpers
import numpy as np
from cache_helpers import SHAPE, a_confirmation, a_store, an_image

from clopa_annotator.review.review_list import listed
from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder
from clopa_annotator.types import Subject, Suggestion
from clopa_annotator.types.review import ReviewFilter

tmp_path = cache_helpers.tmp_path


def test_expected_and_measured_quality_come_from_the_cases_suggestions(tmp_path: Path) -> None:
    folder = tmp_path / "campaign"
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:5, 2:6, 2:6] = 1
    shifted = np.roll(mask, 1, axis=2)
    with a_store(folder) as store:
        suggestions = SuggestionFolder(folder)
        for number in range(8):
            case_id = f"case {number}"
            store.add_case(case_id, an_image(number))
            if number < 7:
                scores = {"agreement": 0.9 - 0.05 * number}
                suggestions.keep(Suggestion(Subject(case_id), mask if number < 4 else shifted, 1, scores))
            ref = store.confirm(a_confirmation(number, case_id, mask=mask, first_shown_dice=0.4))
            suggestions.confirmed(Subject(case_id), mask, ref.sequence)
        rows = {row.case_id: row for row in listed(folder, store)}
        low = listed(folder, store, ReviewFilter(measured_below=0.9))
    assert rows["case 0"].measured == 1.0 and 0.5 < rows["case 5"].measured < 0.9
    assert 0 < rows["case 0"].expected < 1 and 0 < rows["case 6"].expected < 1
    assert math.isnan(rows["case 7"].expected) and rows["case 7"].measured == 0.4
    assert [row.case_id for row in low] == ["case 4", "case 5", "case 6", "case 7"]

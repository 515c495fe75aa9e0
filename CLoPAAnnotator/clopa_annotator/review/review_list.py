"""The list of a review: what is confirmed, what was decided about it, how good it was expected to be."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

from clopa_annotator.cache.reader import CampaignReader
from clopa_annotator.cache.reviewing import review_rows
from clopa_annotator.suggestions.calibration import Calibration
from clopa_annotator.suggestions.scores import certainty
from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder
from clopa_annotator.types import Outcome
from clopa_annotator.types.review import ReviewFilter, ReviewRow

EVERYTHING = ReviewFilter()


def listed(folder: Path, store: CampaignReader, chosen: ReviewFilter = EVERYTHING) -> tuple[ReviewRow, ...]:
    """What a second person may look at, with how good its suggestion was and was expected to be.

    The expectation is that of the campaign's other cases: a case must not tell itself how good it will be.
    Where a case had no suggestion, ``measured`` is the Dice of the first mask that was shown.

    Args:
        folder: the campaign's folder.
        store: the campaign.
        chosen: which rows.
    """
    suggestions = SuggestionFolder(folder)
    outcomes = cache(lambda target: {o.sequence: o for o in suggestions.outcomes(target)})
    current = {v.ref.sequence for target in store.targets for v in store.confirmed_versions(target.key)}
    rows = (_with_quality(row, outcomes(row.slot.target), current) for row in review_rows(store))
    return tuple(row for row in rows if chosen.shows(row))


def _with_quality(row: ReviewRow, outcomes: dict[int, Outcome], current: set[int]) -> ReviewRow:
    outcome = outcomes.get(row.sequence)
    if outcome is None:
        return row
    others = [o for o in outcomes.values() if o.sequence in current and o.sequence != row.sequence]
    expected = Calibration(others).expect(certainty(outcome.scores), outcome.weights_version)
    measured = outcome.dice if math.isfinite(outcome.dice) else row.measured
    return replace(row, expected=expected.dice, measured=measured)

"""Messages about reviews come back as they were sent, and another version's are told apart."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from clopa_annotator.errors import VersionMismatch
from clopa_annotator.types.review import PairAgreement
from clopa_annotator.wire.review_messages import (
    agreement_from_wire,
    agreement_to_wire,
    comparison_from_wire,
    review_row_from_wire,
)

PAIR = PairAgreement("Ada", "Bob", "liver", 3, 0.9, 0.8, math.nan, 0.1)


def test_how_well_people_agree_travels_with_what_is_not_known() -> None:
    row = json.loads(json.dumps({**agreement_to_wire(PAIR), "newer": 1}))
    assert row["nsd"] is None
    back = agreement_from_wire(row)
    assert math.isnan(back.nsd) and (back.one, back.dice, back.readings) == ("Ada", 0.9, 3)


@pytest.mark.parametrize("row", [None, [], {}, {"one": "Ada"}, {"case_id": "x", "verdict": "good"}])
def test_an_answer_of_another_version_is_told_apart(row: Any) -> None:
    for read in (agreement_from_wire, review_row_from_wire, lambda r: comparison_from_wire(r, {})):
        with pytest.raises(VersionMismatch, match="update the older"):
            read(row)

"""How well two readers agree, computable by hand."""

from __future__ import annotations

import math
from pathlib import Path

import cache_helpers
import numpy as np
import pytest
from cache_helpers import SHAPE, a_confirmation, a_store, an_image

from clopa_annotator.review.agreement import by_pair, compare_masks, double_readings
from clopa_annotator.review.agreement_section import HEADER, agreement_section
from clopa_annotator.types import Slot, Target, Targets
from clopa_annotator.types.targets import FIRST

tmp_path = cache_helpers.tmp_path


def block(low: int, high: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:4, 2:4, low:high] = 1
    return mask


def test_two_masks_are_compared_as_by_hand() -> None:
    dice, nsd, difference = compare_masks(block(2, 6), block(2, 8), (1.0, 1.0, 1.0))
    assert dice == pytest.approx(2 * 16 / (16 + 24)) and difference == pytest.approx(8 / 20)
    assert 0 < nsd < 1
    assert compare_masks(block(2, 6), block(2, 6), (1.0, 1.0, 1.0)) == (1.0, 1.0, 0.0)
    nothing = compare_masks(block(0, 0), block(0, 0), (1.0, 1.0, 1.0))
    assert nothing[0] == 1.0 and math.isnan(nothing[1]) and math.isnan(nothing[2])


def test_a_report_without_two_readings_says_nothing_of_them(tmp_path: Path) -> None:
    with a_store(tmp_path / "plain") as store:
        assert agreement_section(store) is None


def test_what_was_mended_after_the_second_reading_does_not_count(tmp_path: Path) -> None:
    targets = Targets([Target("liver"), Target("spleen", "spleen", overlaps=True)])
    with a_store(tmp_path / "campaign", targets=targets) as store:
        for number, case_id in enumerate(("case one", "case two", "case three")):
            store.add_case(case_id, an_image(number))
        sent = iter(range(100))

        def confirm(case_id: str, who: str, mask: np.ndarray, reading: int = 1, slot: Slot = FIRST) -> None:
            values = {"annotator": who, "mask": mask, "slot": slot}
            store.confirm(a_confirmation(next(sent), case_id, **values), reading=reading)

        confirm("case one", "Bob", block(2, 6))
        confirm("case one", "ada", block(2, 8), 2)
        confirm("case one", "Bob", block(2, 8))
        confirm("case two", "ada", block(2, 6))
        confirm("case two", "Bob", block(2, 6), 2)
        confirm("case two", "Bob", block(0, 0), 2)
        confirm("case two", "ada", block(2, 6), slot=Slot("spleen"))
        confirm("case three", "ada", block(2, 6))
        readings = double_readings(store)
        section = agreement_section(store)
    assert section is not None and len(section.rows[0]) == len(HEADER)
    assert section.rows == (("ada, Bob", "liver", 2, "0.900", "0.800", section.rows[0][5], "20 %"),)
    assert [(r.case_id, r.first, r.second) for r in readings] == [
        ("case one", "Bob", "ada"),
        ("case two", "ada", "Bob"),
    ]
    (pair,) = by_pair(readings)
    assert (pair.one, pair.two, pair.target, pair.readings) == ("ada", "Bob", "", 2)
    assert pair.dice == pytest.approx((0.8 + 1.0) / 2) and pair.lowest_dice == pytest.approx(0.8)
    assert pair.volume_difference == pytest.approx((0.4 + 0.0) / 2)

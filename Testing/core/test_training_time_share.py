"""Clicks come first, but not for ever: what a trainer may claim where they never pause."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from clopa_annotator.training.signals import YieldFlag
from clopa_annotator.training.time_share import TrainingTimeShare
from clopa_annotator.training.trainer_process import Leash


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def work_beside_clicks(clicking_s: float, pause_s: float, total_s: float) -> tuple[float, float]:
    """A trainer of layers of 20 ms beside clicks that take ``clicking_s`` with ``pause_s`` between them.

    Returns:
        Seconds that it worked during clicks, and the longest that it worked at a stretch during one.
    """
    clock = Clock()
    share = TrainingTimeShare(0.1, 2.0, clock)
    beside = stretch = longest = 0.0
    while clock.now < 100.0 + total_s:
        share.worked()
        clicking = (clock.now - 100.0) % (clicking_s + pause_s) < clicking_s
        while clicking and not share.waited():
            clock.now += 0.002
            stretch = 0.0
            clicking = (clock.now - 100.0) % (clicking_s + pause_s) < clicking_s
        clock.now += 0.02
        if clicking:
            beside += 0.02
            stretch += 0.02
            longest = max(longest, stretch)
    return beside, longest


def test_a_tenth_of_the_time_is_the_trainers_even_where_clicks_never_pause() -> None:
    worked, longest = work_beside_clicks(clicking_s=1000.0, pause_s=0.0, total_s=200.0)
    assert worked == pytest.approx(0.1 * (200 - 20), rel=0.1), "nothing in the first 20 s, then a tenth"
    assert longest <= 0.04, "one layer at a time, not a burst that a click would feel"


def test_where_people_pause_every_click_has_the_machine_alone() -> None:
    worked, _ = work_beside_clicks(clicking_s=1.0, pause_s=0.5, total_s=300.0)
    assert worked == 0


def test_work_done_in_a_pause_counts_against_the_claim() -> None:
    clock = Clock()
    share = TrainingTimeShare(0.1, 2.0, clock)
    clock.now += 15
    assert not share.waited()
    clock.now += 1.0
    share.worked()
    clock.now += 10
    assert not share.waited()
    clock.now += 10
    assert share.waited()


@pytest.mark.parametrize(("claim_s", "goes_on"), [(0.05, True), (1000.0, False)])
def test_a_leash_lets_go_while_the_flag_is_up_only_for_what_is_owed(
    tmp_path: Path, claim_s: float, goes_on: bool
) -> None:
    flag = YieldFlag(tmp_path)
    with Leash(tmp_path, share=TrainingTimeShare(0.5, claim_s)) as leash:
        flag.set(True)
        waiting = threading.Thread(target=leash.yield_to)
        waiting.start()
        waiting.join(5 if goes_on else 0.5)
        assert waiting.is_alive() is not goes_on
        flag.set(False)
        waiting.join(5)
        assert not waiting.is_alive()
    flag.close()

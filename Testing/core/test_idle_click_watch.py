"""Knowing whether somebody waits for an answer, and for how long nobody has."""

from __future__ import annotations

from clopa_annotator.campaign.idle.click_watch import ClickWatch


class Supervisor:
    def __init__(self) -> None:
        self.told: list[str] = []

    def click_begins(self) -> None:
        self.told.append("begins")

    def click_ends(self) -> None:
        self.told.append("ends")

    def make_room(self, measure: int) -> bool:
        self.told.append(f"room {measure}")
        return measure > 1


def test_every_click_is_passed_on_to_the_trainer_and_remembered() -> None:
    now = [100.0]
    supervisor = Supervisor()
    watch = ClickWatch(supervisor, lambda: now[0])
    assert (watch.is_busy, watch.quiet_s) == (False, 0.0)
    now[0] = 103.0
    assert watch.quiet_s == 3.0
    watch.click_begins()
    watch.click_begins()
    watch.click_ends()
    now[0] = 110.0
    assert watch.is_busy and watch.quiet_s == 0.0, "one of two is answered"
    watch.click_ends()
    now[0] = 111.5
    assert (watch.is_busy, watch.quiet_s) == (False, 1.5)
    assert not watch.make_room(1) and watch.make_room(2)
    assert supervisor.told == ["begins", "begins", "ends", "ends", "room 1", "room 2"]

"""Leases on cases: visible, renewable, expiring."""

from __future__ import annotations

import pytest

from clopa_annotator.campaign.leases import CaseLeases
from clopa_annotator.errors import CaseTaken, ConfigError
from clopa_annotator.types import Slot
from clopa_annotator.types.targets import FIRST


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def leases(clock: Clock) -> CaseLeases:
    return CaseLeases(expiry_s=60, clock=clock)


def test_a_case_is_in_one_persons_hands(leases: CaseLeases) -> None:
    leases.take("liver 1", "Ada")
    assert leases.holder("liver 1") == "Ada"
    with pytest.raises(CaseTaken, match="Ada is working on this case"):
        leases.take("liver 1", "Bob")


def test_taking_ones_own_case_again_renews_it(leases: CaseLeases, clock: Clock) -> None:
    leases.take("liver 1", "Ada")
    clock.now = 50
    leases.take("liver 1", "Ada")
    clock.now = 100
    assert leases.holder("liver 1") == "Ada"


def test_a_case_is_free_once_its_holder_is_silent_for_too_long(leases: CaseLeases, clock: Clock) -> None:
    leases.take("liver 1", "Ada")
    clock.now = 60
    assert leases.holder("liver 1") is None
    assert leases.take("liver 1", "Bob").owner == "Bob"


def test_only_the_holder_can_give_a_case_back(leases: CaseLeases) -> None:
    leases.take("liver 1", "Ada")
    leases.release("liver 1", "Bob")
    assert leases.holder("liver 1") == "Ada"
    leases.release("liver 1", "Ada")
    leases.release("liver 1", "Ada")
    assert leases.holder("liver 1") is None


def test_an_expiry_must_be_positive() -> None:
    with pytest.raises(ConfigError):
        CaseLeases(expiry_s=0)


def test_two_targets_of_a_case_are_in_two_peoples_hands(leases: CaseLeases, clock: Clock) -> None:
    kidney = Slot("kidney")
    leases.take("liver 1", "Ada")
    leases.take("liver 1", "Bob", kidney)
    assert leases.holders("liver 1") == {FIRST: "Ada", kidney: "Bob"} and leases.holders("liver 2") == {}
    leases.release("liver 1", "Bob")
    assert leases.holder("liver 1", kidney) == "Bob", "he gave back what he had not"
    clock.now = 60
    assert leases.holders("liver 1") == {}


def test_it_is_known_whether_somebody_else_had_it_meanwhile(leases: CaseLeases) -> None:
    leases.take("liver 1", "Ada")
    mine = leases.hands("liver 1")
    leases.release("liver 1", "Ada")
    leases.take("liver 1", "Ada")
    assert leases.hands("liver 1") == mine and leases.hands("liver 1", Slot("kidney")) != mine
    leases.note("liver 1", "an import")
    leases.take("liver 1", "Ada")
    assert leases.hands("liver 1") != mine

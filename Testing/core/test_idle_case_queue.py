"""The lead's settings of how cases come, kept in the campaign's folder, and what the desk makes of them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import cast

import cache_helpers
import pytest
from cache_helpers import an_image

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.campaign.idle.case_queue import CaseQueue, change_settings
from clopa_annotator.campaign.idle.coming import ComingSlot, NextFirst
from clopa_annotator.campaign.idle.suggestion_desk import SuggestionDesk
from clopa_annotator.case_order import CaseSettings
from clopa_annotator.config import CampaignConfig
from clopa_annotator.events import EventLog
from clopa_annotator.types import CaseState, Slot
from clopa_annotator.wire.messages import CaseRow, SlotRow
from clopa_annotator.wire.suggestion_messages import SuggestionMark

store, tmp_path = cache_helpers.store, cache_helpers.tmp_path
SURE = {"sure": 0.9, "unsure": 0.2, "middle": 0.5}


@pytest.fixture
def campaign(store: CampaignStore) -> Campaign:
    return Campaign(store.folder, CampaignConfig("test", 5, seed=4), store)


@pytest.fixture
def desk() -> SuggestionDesk:
    """A desk that knows how sure the model is of three cases."""

    def mark(case_id: str, _slot: Slot) -> SuggestionMark | None:
        return SuggestionMark(1, SURE[case_id]) if case_id in SURE else None

    return cast(SuggestionDesk, SimpleNamespace(mark=mark, next_first=NextFirst()))


def slots(*names: str, beside: str = "") -> list[ComingSlot]:
    return [ComingSlot(name, Slot(), n + 1, "", name == beside) for n, name in enumerate(names)]


def test_a_change_lies_on_disk_and_is_told_with_who_made_it(campaign: Campaign, desk: SuggestionDesk) -> None:
    events = EventLog()
    queue = CaseQueue(campaign, events, desk)
    queue.change(CaseSettings("least-certain", 0.25, seed=99), "Lea")
    assert queue.settings == CaseSettings("least-certain", 0.25, seed=4)
    written = json.loads((campaign.folder / "campaign.json").read_text())["settings"]
    assert (written["order"], written["without_suggestion"]) == ("least-certain", 0.25)
    (event,) = events.since(0)
    assert event.name == "case_settings_changed"
    assert event.data == {"order": "least-certain", "without_suggestion": 0.25, "annotator": "Lea"}
    queue.change(CaseSettings("least-certain", 0.25), "Lea")
    assert len(events.since(0)) == 1, "nothing changed"


def test_a_change_that_cannot_be_written_changes_nothing(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(campaign.store, "set_settings", refuse)
    with pytest.raises(OSError, match="full"):
        change_settings(campaign, EventLog(), CaseSettings("random"), "Lea")
    assert CaseSettings.of(campaign.config).order == "added"


def test_the_desk_suggests_in_the_campaigns_order_and_open_cases_first(
    campaign: Campaign, desk: SuggestionDesk
) -> None:
    queue = CaseQueue(campaign, EventLog(), desk)
    coming = slots("new", "sure", "unsure", "middle", beside="middle")

    def order(name: str) -> list[str]:
        queue.change(CaseSettings(name), "Lea")  # type: ignore[arg-type]
        assert queue.needs_all() is desk.needs_all() is (name in ("least-certain", "most-certain"))
        return [slot.case_id for slot in desk.order(coming)]

    assert order("added") == ["middle", "new", "sure", "unsure"]
    assert order("least-certain") == ["middle", "unsure", "sure", "new"]
    assert order("most-certain") == ["middle", "sure", "unsure", "new"]
    at_random = queue.settings.seed, order("random")
    assert at_random[1][0] == "middle"
    assert at_random[1][1:] == [n for n in CaseSettings("random", 0, 4).arrange(
        ["new", "sure", "unsure"], {})]  # fmt: skip


def test_the_desk_withholds_what_the_campaign_withholds(campaign: Campaign, desk: SuggestionDesk) -> None:
    queue = CaseQueue(campaign, EventLog(), desk)
    assert not desk.withholds("one", Slot())
    queue.change(CaseSettings("added", 0.5), "Lea")
    names = [f"case {n}" for n in range(40)]
    drawn = CaseSettings("added", 0.5, 4)
    assert [desk.withholds(n, Slot()) for n in names] == [drawn.withholds(n) for n in names]
    assert 8 < sum(desk.withholds(n, Slot()) for n in names) < 32


def test_a_decided_target_says_nothing_about_what_is_left_of_its_case() -> None:
    rows = (
        SlotRow(Slot(), CaseState.CONFIRMED, suggestion=SuggestionMark(1, 0.1)),
        SlotRow(Slot("", 2), suggestion=SuggestionMark(1, 0.8)),
    )
    assert CaseRow("one", CaseState.IN_PROGRESS, slots=rows).certainty == 0.8


def test_an_older_program_can_open_a_campaign_whose_cases_come_as_usual(store: CampaignStore) -> None:
    campaign = Campaign(store.folder, CampaignConfig("test", 5), store)
    for settings in (CaseSettings("random"), CaseSettings()):
        change_settings(campaign, EventLog(), settings, "Lea")
    assert "order" not in json.loads((store.folder / "campaign.json").read_text())["settings"]
    store.add_case("one", an_image())
    assert store.cases()[0].slots[0].annotator == ""

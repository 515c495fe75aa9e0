"""The lead's settings of how cases come, kept in the campaign's folder, and the queue that they make."""

from __future__ import annotations

import json
from types import SimpleNamespace

import cache_helpers
import pytest
from cache_helpers import an_image

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.campaign.idle.case_queue import CaseQueue
from clopa_annotator.case_order import CaseSettings
from clopa_annotator.config import CampaignConfig
from clopa_annotator.events import EventLog
from clopa_annotator.types import CaseState, Slot
from clopa_annotator.wire.messages import CaseRow, SlotRow
from clopa_annotator.wire.suggestion_messages import SuggestionMark

store, tmp_path = cache_helpers.store, cache_helpers.tmp_path
TODO, CONFIRMED = CaseState.TODO, CaseState.CONFIRMED


@pytest.fixture
def campaign(store: CampaignStore) -> Campaign:
    return Campaign(store.folder, CampaignConfig("test", 5, seed=4), store)


def mark(score: float | None) -> SuggestionMark | None:
    return None if score is None else SuggestionMark(1, score)


def a_row(name: str, *certainty: float | None, owner: str = "", state: CaseState = TODO) -> CaseRow:
    slots = tuple(SlotRow(Slot("", n + 1), suggestion=mark(value)) for n, value in enumerate(certainty))
    return CaseRow(name, state, owner=owner, slots=slots)


def test_a_change_lies_on_disk_and_is_told_with_who_made_it(campaign: Campaign) -> None:
    events = EventLog()
    queue = CaseQueue(campaign, events)
    queue.change(CaseSettings("least-certain", 0.25, seed=99), "Lea")
    assert queue.settings == CaseSettings.of(campaign.config) == CaseSettings("least-certain", 0.25, seed=4)
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

    monkeypatch.setattr(campaign.store, "update_manifest", refuse)
    queue = CaseQueue(campaign, EventLog())
    with pytest.raises(OSError, match="full"):
        queue.change(CaseSettings("random"), "Lea")
    assert queue.settings.order == "added"


def test_what_is_left_comes_in_the_campaigns_order_and_what_somebody_holds_last() -> None:
    rows = [
        a_row("done", 0.1, state=CONFIRMED),
        a_row("sure", 0.9),
        a_row("unsure", 0.2, None, 0.4),
        a_row("held", 0.1, owner="Ada"),
        a_row("unscored", None),
    ]
    campaign = SimpleNamespace(config=CampaignConfig("c", 9, order="least-certain"))
    queue = CaseQueue(campaign, EventLog())  # type: ignore[arg-type]
    assert queue.following(rows) == ["unsure", "sure", "unscored", "held"]
    campaign.config = CampaignConfig("c", 9)
    assert queue.following(rows) == ["sure", "unsure", "unscored", "held"]


def test_a_decided_target_says_nothing_about_what_is_left_of_its_case() -> None:
    slots = (SlotRow(Slot(), CONFIRMED, suggestion=mark(0.1)), SlotRow(Slot("", 2), suggestion=mark(0.8)))
    assert CaseRow("one", CaseState.IN_PROGRESS, slots=slots).certainty == 0.8


def test_an_older_program_can_open_a_campaign_whose_cases_come_as_usual(store: CampaignStore) -> None:
    queue = CaseQueue(Campaign(store.folder, CampaignConfig("test", 5), store), EventLog())
    queue.change(CaseSettings("random"), "Lea")
    queue.change(CaseSettings(), "Lea")
    assert "order" not in json.loads((store.folder / "campaign.json").read_text())["settings"]
    store.add_case("one", an_image())
    assert store.cases()[0].slots[0].annotator == ""

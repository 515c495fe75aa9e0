"""Suggesting in idle time: what is made, for whom, in which order, what makes it wait, stop, begin anew."""

from __future__ import annotations

import threading
from pathlib import Path

import cache_helpers
import numpy as np
import pytest
from idle_engine import EAGER, SHAPE, IdleEngine, a_desk, a_store, an_image, at_work, until

from clopa_annotator.campaign.idle.surroundings import SuggestionSettings
from clopa_annotator.errors import ConfigError
from clopa_annotator.session.suggesting import PassGivenUp
from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder
from clopa_annotator.types import CaseState, Confirmation, Slot, Subject, Target, Targets
from clopa_annotator.types.targets import FIRST

tmp_path = cache_helpers.tmp_path
MASK = np.zeros(SHAPE, np.uint8)
MASK[2:4, 2:5, 2:6] = 1


@pytest.fixture
def around(tmp_path: Path):
    with a_store(tmp_path / "campaign") as store:
        yield IdleEngine(store)


def confirm(around: IdleEngine, case_id: str, desk=None) -> None:
    ref = around.store.confirm(Confirmation(f"id {case_id}", case_id, MASK))
    if desk is not None:
        desk.confirmed(case_id, FIRST, MASK, ref.sequence)


def test_every_coming_case_gets_a_suggestion_that_is_read_back_with_its_mask(around: IdleEngine) -> None:
    with at_work(a_desk(around)) as desk:
        until(lambda: len(around.suggested) == 3)
        found = desk.suggestion("case 1", FIRST)
    assert around.suggested == ["case 0", "case 1", "case 2"]
    assert found is not None and (found.mask[MASK > 0] == 1).all() and not found.mask.flags.writeable
    assert (found.mark.version, found.mark.score) == (1, 0.9)
    assert (found.mark.dice, found.mark.cases) == (None, 0), "how good is not known yet"
    assert desk.state().phase == "at rest" and desk.state().ready == 3


def test_a_desk_that_begins_anew_finds_what_was_made_and_makes_it_no_second_time(around: IdleEngine) -> None:
    with at_work(a_desk(around)):
        until(lambda: len(around.suggested) == 3)
    passes = around.passes
    again = a_desk(around)
    assert again.mark("case 2", FIRST) is not None
    with at_work(again):
        around.store.add_case("case 3", an_image(3))
        again.sent("case 3")
        until(lambda: "case 3" in around.suggested)
    assert around.passes == passes + 4


def test_what_is_decided_begun_or_open_is_left_alone(around: IdleEngine) -> None:
    confirm(around, "case 0")
    around.store.set_state("case 1", CaseState.SKIPPED, "A", "no")
    around.leases.take("case 2", "Ada")
    around.store.add_case("case 3", an_image(3))
    with at_work(a_desk(around)):
        until(lambda: around.suggested)
    assert around.suggested == ["case 3"]


def test_a_case_that_was_ever_confirmed_gets_none_as_weights_may_have_learned_from_it(
    around: IdleEngine,
) -> None:
    confirm(around, "case 0")
    around.store.withdraw("case 0", "A", "wrong")
    with at_work(a_desk(around)):
        until(lambda: len(around.suggested) == 2)
    assert "case 0" not in around.suggested


def test_the_case_that_a_client_has_sent_last_comes_first_and_then_those_after_it(around: IdleEngine) -> None:
    desk = a_desk(around)
    desk.sent("case 1")
    with at_work(desk):
        until(lambda: len(around.suggested) == 3)
    assert around.suggested == ["case 1", "case 2", "case 0"]


def test_a_campaigns_own_order_decides(around: IdleEngine) -> None:
    desk = a_desk(around)
    desk.order = lambda slots: sorted(slots, key=lambda s: -s.number)
    with at_work(desk):
        until(lambda: len(around.suggested) == 3)
    assert around.suggested == ["case 2", "case 1", "case 0"]


def test_only_the_next_ones_are_made_until_all_are_asked_for(around: IdleEngine) -> None:
    desk = a_desk(around, SuggestionSettings(ahead=1, quiet_s=0.0, look_s=0.01))
    with at_work(desk):
        until(lambda: desk.state().phase == "at rest" and around.suggested)
        assert around.suggested == ["case 0"]
        state = desk.want_all()
        assert (state.all_wanted, state.total) == (True, 2)
        until(lambda: not desk.wanted.is_all)
    assert desk.state().ready == 3 and (desk.state().done, desk.state().total) == (2, 2)
    assert around.names.count("suggestions") >= 3


def test_an_order_that_needs_every_score_has_all_made(around: IdleEngine) -> None:
    desk = a_desk(around, SuggestionSettings(ahead=1, quiet_s=0.0, look_s=0.01))
    desk.needs_all = lambda: True
    with at_work(desk):
        until(lambda: len(around.suggested) == 3)


def test_a_cancelled_wish_leaves_what_is_made(around: IdleEngine) -> None:
    desk = a_desk(around, SuggestionSettings(ahead=1, quiet_s=0.0, look_s=0.01))
    around.on_pass = lambda number: number == 6 and desk.cancel()
    desk.want_all()
    with at_work(desk):
        until(lambda: not desk.wanted.is_all)
        until(lambda: desk.state().phase == "at rest")
    assert around.suggested == ["case 0", "case 1"], "the one that was under way is finished"


def test_a_better_version_has_everything_made_anew_and_a_rolled_back_one_is_not_shown(
    around: IdleEngine,
) -> None:
    with at_work(a_desk(around)) as desk:
        until(lambda: len(around.suggested) == 3)
        around.version = 2
        assert desk.mark("case 0", FIRST) is None, "version 1 has made it, and version 2 is in use"
        around.events.publish("promoted", version=2)
        until(lambda: len(around.suggested) == 6)
        assert desk.mark("case 0", FIRST).version == 2
        around.version = 1
        assert desk.suggestion("case 0", FIRST) is None


def test_a_suggestion_under_way_is_dropped_when_its_version_is_rolled_back(around: IdleEngine) -> None:
    around.version = 2

    def roll_back(number: int) -> None:
        if number == 3:
            around.version = 1

    around.on_pass = roll_back
    with at_work(a_desk(around)) as desk:
        until(lambda: len(around.suggested) == 3)
    assert desk.mark("case 0", FIRST).version == 1 and around.passes == 3 + 3 * 4


def test_nothing_is_made_while_an_episode_trains_and_it_goes_on_afterwards(around: IdleEngine) -> None:
    around.is_training = True
    with at_work(a_desk(around)) as desk:
        desk.want_all()
        assert desk.state().phase == "waiting" and "episode trains" in desk.state().sentence
        assert around.passes == 0
        around.is_training = False
        until(lambda: len(around.suggested) == 3)


def test_an_episode_that_starts_meanwhile_ends_what_is_under_way(around: IdleEngine) -> None:
    def train(number: int) -> None:
        around.is_training = number == 2

    around.on_pass = train
    with at_work(a_desk(around)) as desk:
        until(lambda: around.passes == 2)
        until(lambda: not desk._working)
        assert around.suggested == []
        around.is_training = False
        until(lambda: len(around.suggested) == 3)


def test_a_click_makes_the_next_pass_wait_and_nothing_is_lost(around: IdleEngine) -> None:
    around.quiet_s = 99.0
    clicked = threading.Event()

    def click(number: int) -> None:
        if number == 2:
            around.quiet_s = 0.0
            clicked.set()

    around.on_pass = click
    with at_work(a_desk(around, SuggestionSettings(quiet_s=0.02, look_s=0.01))):
        assert clicked.wait(10)
        passes = around.passes
        threading.Event().wait(0.1)
        assert around.passes <= passes + 1
        around.quiet_s = 99.0
        until(lambda: len(around.suggested) == 3)
    assert around.passes == 12, "the passes before the click were not taken again"


def test_a_pass_that_was_given_up_is_taken_again(around: IdleEngine) -> None:
    def give_up(number: int) -> None:
        if number in (2, 3):
            raise PassGivenUp

    around.on_pass = give_up
    with at_work(a_desk(around)):
        until(lambda: len(around.suggested) == 3)
    assert around.passes == 14


def test_the_base_model_suggests_in_secret_until_confirmed_cases_prove_it_able(around: IdleEngine) -> None:
    around.version = 0
    for number in range(3, 9):
        around.store.add_case(f"case {number}", an_image(number))
    desk = a_desk(around, SuggestionSettings(ahead=20, quiet_s=0.0, look_s=0.01))
    with at_work(desk):
        folder = SuggestionFolder(around.store.folder)
        until(lambda: len(list(folder.heads())) == 9)
        assert around.suggested == [] and desk.mark("case 8", FIRST) is None
        for number in range(5):
            subject = Subject(f"case {number}")
            mask = folder.load(subject, SHAPE).mask
            ref = around.store.confirm(Confirmation(f"id {number}", f"case {number}", mask))
            desk.confirmed(f"case {number}", FIRST, mask, ref.sequence)
    mark = desk.mark("case 8", FIRST)
    assert mark is not None and mark.version == 0 and mark.cases == 5
    assert 0.5 < mark.low < mark.dice < mark.high <= 1


def test_each_single_target_has_a_suggestion_of_its_own_and_one_of_several_a_kind_has_none(
    tmp_path: Path,
) -> None:
    targets = Targets([*Targets.named(["liver", "spleen"]), Target("lesion", "lesion", instances=True)])
    with a_store(tmp_path / "campaign", 2, targets) as store:
        around = IdleEngine(store)
        around.leases.take("case 1", "Ada")
        with at_work(a_desk(around)) as desk:
            until(lambda: len(around.suggested) == 3)
        made = [e.data for e in around.events.since(0) if e.name == "suggested"]
    assert [(e["case_id"], e["target"]) for e in made] == [
        ("case 1", "spleen"),
        ("case 0", ""),
        ("case 0", "spleen"),
    ], "the other target of the case that is open comes first"
    assert desk.mark("case 0", Slot("lesion")) is None


def test_a_setting_or_a_strategy_switches_it_off_in_words(around: IdleEngine) -> None:
    with at_work(a_desk(around)) as desk:
        until(lambda: len(around.suggested) == 3)
        around.reason = "Suggestions are switched off in this campaign."
        state = desk.switched()
        assert (state.phase, state.is_on, state.sentence) == ("off", False, around.reason)
        assert desk.mark("case 0", FIRST) is None and desk.suggestion("case 0", FIRST) is None
        around.reason = ""
        assert desk.switched().ready == 3


def test_an_engine_that_is_not_to_suggest_starts_no_thread(around: IdleEngine) -> None:
    with at_work(a_desk(around, SuggestionSettings(runs=False))) as desk:
        assert desk.state().phase == "off"
        assert all(t.name != "suggestions" for t in threading.enumerate())


def test_an_engine_that_ends_ends_it(around: IdleEngine) -> None:
    around.on_pass = lambda number: number == 2 and around.ended.set()
    desk = a_desk(around)
    desk.start()
    until(around.ended.is_set)
    desk._thread.join(10)
    assert not desk._thread.is_alive()
    desk.close()


def test_settings_that_make_no_sense_are_refused() -> None:
    assert EAGER.ahead >= 1
    for wrong in ({"ahead": 0}, {"quiet_s": -1.0}):
        with pytest.raises(ConfigError):
            SuggestionSettings(**wrong)

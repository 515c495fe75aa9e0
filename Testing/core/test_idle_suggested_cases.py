"""The engine's cases with their suggestions: in the list, at the opening, and learned from at the end."""

from __future__ import annotations

from pathlib import Path

import cache_helpers
import numpy as np
from idle_engine import SHAPE, IdleEngine, a_desk, a_store, an_image, at_work, until

from clopa_annotator.campaign.idle.suggested_cases import SuggestedCases
from clopa_annotator.campaign.occupancy import Occupancy
from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder
from clopa_annotator.types import Confirmation, Slot, Targets
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.messages import Draft

tmp_path = cache_helpers.tmp_path
SPLEEN = Slot("spleen")


def the_cases(around: IdleEngine, desk) -> SuggestedCases:
    store = around.store
    return SuggestedCases(store, around.leases, around.events, lambda _: lambda: None, Occupancy(store), desk)


def marked(cases: SuggestedCases) -> list[str]:
    return [row.case_id for row in cases.cases() if row.slots[0].suggestion is not None]


def test_a_case_shows_its_suggestion_until_somebody_has_begun(tmp_path: Path) -> None:
    with a_store(tmp_path / "campaign", 2) as store:
        around = IdleEngine(store)
        desk = a_desk(around)
        cases = the_cases(around, desk)
        with at_work(desk):
            until(lambda: len(marked(cases)) == 2)
        assert cases.case("case 0").slots[0].suggestion.version == 1
        cases.take_case("case 0", "Ada")
        assert marked(cases) == ["case 0", "case 1"], "whoever has it open sees it too"
        cases.save_draft("case 0", "Ada", Draft(np.ones(SHAPE, np.uint8)))
        assert marked(cases) == ["case 1"] and cases.suggestion("case 0", FIRST) is None


def test_confirming_notes_how_good_the_suggestion_was(tmp_path: Path) -> None:
    with a_store(tmp_path / "campaign", 1) as store:
        around = IdleEngine(store)
        desk = a_desk(around)
        cases = the_cases(around, desk)
        with at_work(desk):
            until(lambda: marked(cases))
        mask = cases.suggestion("case 0", FIRST).mask
        ref = cases.confirm(Confirmation("one", "case 0", mask))
        (outcome,) = SuggestionFolder(store.folder).outcomes()
        assert (outcome.dice, outcome.sequence, outcome.weights_version) == (1.0, ref.sequence, 1)
        assert marked(cases) == [] and cases.suggestion("case 0", FIRST) is None


def test_what_a_client_sends_or_opens_comes_next(tmp_path: Path) -> None:
    with a_store(tmp_path / "campaign", 3) as store:
        around = IdleEngine(store)
        desk = a_desk(around)
        cases = the_cases(around, desk)
        cases.add_case("case 3", an_image(3), "")
        cases.take_case("case 1", "Ada")
        with at_work(desk):
            until(lambda: len(around.suggested) == 3)
        assert around.suggested == ["case 2", "case 3", "case 0"], "after the one that is open, and around"


def test_voxels_of_another_target_are_not_suggested(tmp_path: Path) -> None:
    with a_store(tmp_path / "campaign", 1, Targets.named(["liver", "spleen"])) as store:
        around = IdleEngine(store)
        desk = a_desk(around)
        cases = the_cases(around, desk)
        with at_work(desk):
            until(lambda: len(around.suggested) == 2)
        whole = cases.suggestion("case 0", SPLEEN).mask
        taken = np.zeros(SHAPE, np.uint8)
        taken[:3] = 1
        cases.confirm(Confirmation("one", "case 0", taken))
        left = cases.suggestion("case 0", SPLEEN)
        assert np.array_equal(left.mask, whole * (1 - taken)) and not left.mask.flags.writeable
        cases.confirm(Confirmation("two", "case 0", left.mask, slot=SPLEEN))


def test_a_withheld_suggestion_is_marked_and_compared_and_not_shown(tmp_path: Path) -> None:
    with a_store(tmp_path / "campaign", 2) as store:
        around = IdleEngine(store)
        desk = a_desk(around)
        desk.withholds = lambda case_id, _slot: case_id == "case 0"
        cases = the_cases(around, desk)
        with at_work(desk):
            until(lambda: len(marked(cases)) == 2)
        assert cases.suggestion("case 0", FIRST) is None and cases.is_withheld("case 0", FIRST)
        assert cases.suggestion("case 1", FIRST) is not None and not cases.is_withheld("case 1", FIRST)
        for name in ("case 0", "case 1"):
            cases.confirm(Confirmation(name, name, np.ones(SHAPE, np.uint8)))
        told = [row.suggestion_dice for row in cases.statistics()]
        assert len(told) == 2 and all(dice is not None and 0 <= dice < 1 for dice in told)
        assert not cases.is_withheld("case 0", FIRST), "there is nothing to show any more"

"""A case opens with what the model suggests: taken, cleared, refined or confirmed, by mouse and by keys."""

from __future__ import annotations

import numpy as np
import pytest
from driving import a_ball

from clopa_annotator.types import SuggestionUse
from clopa_annotator.wire.suggestion_messages import SuggestionMark

CENTRE = (15, 20, 25)
NOT_KNOWN, KNOWN = SuggestionMark(3, 0.9), SuggestionMark(3, 0.9, 0.86, 0.74, 0.93, 12)


def ball(radius=6.0, shift=0):
    distance = np.sqrt(
        sum((g - c - shift) ** 2 for g, c in zip(np.indices((30, 40, 50)), CENTRE, strict=True))
    )
    return (distance < radius).astype(np.uint8)


@pytest.fixture
def suggest(driver):
    """Opens a case for which this is suggested."""
    driver.client.campaign.learning.current = 3

    def suggest(mask, mark=KNOWN, name="case"):
        from clopa_annotator.types import Image

        volume = driver.add_volume(a_ball(), name=name)
        image = driver.workspace.case.image(volume)
        driver.client.campaign.add(name, Image(image.voxels, image.geometry), "")
        driver.client.campaign.suggestions.put(name, mask, mark)
        driver.open_volume(volume)
        return volume

    return suggest


def shown(driver):
    return driver.workspace.currentMask()


def stored(driver, name="case"):
    (line,) = [s for s in driver.client.campaign.statistics() if s.case_id == name]
    return line


def confirm(driver):
    driver.ui.confirmButton.click()
    driver.until(lambda: driver.session.isConfirmed, "the confirmation")


def look(driver):
    """Name and colour of the chosen segment."""
    node = driver.workspace.state.segmentation
    segment = node.GetSegmentation().GetSegment("CLoPA_Proposal")
    return segment.GetName(), tuple(round(c, 2) for c in segment.GetColor())


def test_it_is_on_the_screen_as_soon_as_the_case_is_open_and_named_as_what_it_is(driver, suggest):
    suggest(ball())
    assert np.array_equal(shown(driver), ball())
    assert "Suggested by version 3, expected Dice .86 (.74 to .93)." in driver.ui.suggestionLabel.text
    assert driver.ui.suggestionBox.visible and "Take it (S)" in driver.said
    assert look(driver) == ("Suggestion", (0.62, 0.3, 0.95))
    assert not driver.session.prompts and not driver.session.work.isBegun
    driver.host.spin(0.5)
    assert driver.client.campaign.case("case").draft is None, "nobody has done anything"


def test_how_good_it_is_may_not_be_known_yet(driver, suggest):
    suggest(ball(), NOT_KNOWN)
    assert driver.ui.suggestionLabel.text == "Suggested by version 3. How good it is, is not known yet."


def test_accepted_with_one_key_it_is_recorded_as_untouched(driver, suggest):
    suggest(ball())
    driver.press("Ctrl+Shift+Return")
    driver.until(lambda: driver.session.isConfirmed, "the confirmation")
    line = stored(driver)
    assert (line.suggestion, line.prompts, line.first_shown_dice) == (SuggestionUse.UNTOUCHED, 0, 1.0)
    assert not driver.ui.suggestionBox.visible and look(driver)[0] == "Confirmed"


def test_a_wrong_one_is_cleared_with_one_key_and_the_click_begins_with_nothing(driver, suggest):
    volume = suggest(ball(shift=8))
    driver.press("X")
    assert not shown(driver).any(), "at once"
    driver.settle()
    assert not shown(driver).any() and not driver.ui.suggestionBox.visible
    assert look(driver)[0] == "Proposal" and "cleared" in driver.said
    driver.click(driver.world(volume, CENTRE))
    driver.settle()
    assert shown(driver)[CENTRE] and not (shown(driver) & ball(2, shift=12)).any()
    confirm(driver)
    line = stored(driver)
    assert line.suggestion is SuggestionUse.CLEARED and line.prompts == 1
    assert line.first_shown_dice < 0.5, "the suggestion was shown first"


def test_a_click_refines_it_and_makes_it_a_start(driver, suggest):
    volume = suggest(ball(4))
    driver.click(driver.world(volume, CENTRE))
    driver.settle()
    assert (shown(driver) >= ball(4)).all() and shown(driver).sum() > ball(4).sum()
    assert "Taken as a start." in driver.ui.suggestionLabel.text and look(driver)[0] == "Proposal"
    confirm(driver)
    assert stored(driver).suggestion is SuggestionUse.TAKEN and stored(driver).prompts == 1


def test_taken_with_its_key_and_taken_back_it_is_a_suggestion_again(driver, suggest):
    suggest(ball())
    driver.press("S")
    driver.settle()
    assert np.array_equal(shown(driver), ball()) and look(driver)[0] == "Proposal"
    assert "your start" in driver.said and not driver.ui.takeSuggestionButton.enabled
    driver.press("Ctrl+Z")
    driver.settle()
    assert np.array_equal(shown(driver), ball()) and look(driver)[0] == "Suggestion"
    driver.press("Ctrl+Y")
    driver.settle()
    assert np.array_equal(shown(driver), ball()) and look(driver)[0] == "Proposal"
    confirm(driver)
    assert stored(driver).suggestion is SuggestionUse.UNTOUCHED, "nothing of it was changed"


def test_clearing_can_be_undone_and_done_again(driver, suggest):
    suggest(ball())
    driver.ui.clearSuggestionButton.click()
    driver.settle()
    driver.press("Ctrl+Z")
    driver.settle()
    assert np.array_equal(shown(driver), ball()) and driver.ui.suggestionBox.visible
    driver.press("Ctrl+Y")
    driver.settle()
    assert not shown(driver).any() and not driver.ui.suggestionBox.visible


def test_everything_undone_one_step_after_the_other_brings_the_suggestion_back(driver, suggest):
    volume = suggest(ball(4))
    for _ in range(2):
        driver.click(driver.world(volume, CENTRE))
        driver.settle()
    while driver.ui.undoButton.enabled:
        driver.press("Ctrl+Z")
        driver.settle()
    assert np.array_equal(shown(driver), ball(4)) and driver.session.work.isSuggestionShown
    driver.press("Ctrl+Z")  # and once more, with nothing to undo
    driver.settle()
    assert np.array_equal(shown(driver), ball(4))
    driver.click(driver.world(volume, CENTRE))
    driver.settle()
    assert (shown(driver) >= ball(4)).all(), "the click still starts from it"


def test_starting_over_after_clicks_throws_the_suggestion_away_too(driver, suggest):
    volume = suggest(ball(4))
    driver.click(driver.world(volume, CENTRE))
    driver.settle()
    driver.press("X")
    driver.settle()
    assert not shown(driver).any() and driver.session.work.useOf(shown(driver)) is SuggestionUse.CLEARED
    driver.press("Ctrl+Z")
    driver.settle()
    assert shown(driver).any() and driver.session.work.useOf(shown(driver)) is SuggestionUse.TAKEN


def test_a_second_click_that_comes_at_once_waits_for_the_first(driver, suggest):
    volume = suggest(ball(4))
    driver.client.delay_s = 0.1
    for shift in (0, 2):
        driver.click(driver.world(volume, (15, 20, 25 + shift)))
    driver.settle()
    assert len(driver.session.prompts) == 2 and (shown(driver) >= ball(4)).all()


def test_a_hand_edit_is_an_edit_of_the_suggestion(driver, suggest):
    import slicer

    suggest(ball(5))
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        ball(6), driver.workspace.state.segmentation, "CLoPA_Proposal", driver.workspace.case.volume
    )
    driver.until(lambda: driver.session.work.isTouched, "noticing")
    confirm(driver)
    assert stored(driver).suggestion is SuggestionUse.TAKEN
    assert np.array_equal(shown(driver), ball(6))


def test_work_on_it_comes_back_as_work_and_knows_where_it_began(driver, suggest):
    volume = suggest(ball(4))
    driver.click(driver.world(volume, CENTRE))
    driver.settle()
    mask = shown(driver)
    driver.host.spin(0.5)
    driver.workspace.closeCase()
    driver.workspace.attempt(lambda: driver.workspace.openCase("case"))
    driver.until(lambda: driver.session.isOpen, "the case")
    assert np.array_equal(shown(driver), mask) and "unfinished work" in driver.said
    confirm(driver)
    assert stored(driver).suggestion is SuggestionUse.TAKEN


def test_a_case_that_was_only_looked_at_shows_it_again(driver, suggest):
    suggest(ball())
    driver.workspace.closeCase()
    driver.until(lambda: driver.client.campaign.case("case").row.state.value == "to do", "leaving")
    driver.workspace.attempt(lambda: driver.workspace.openCase("case"))
    driver.until(lambda: driver.session.isOpen, "the case")
    assert driver.session.work.isSuggestionShown and np.array_equal(shown(driver), ball())


def test_an_engine_that_goes_away_takes_neither_the_suggestion_nor_what_is_known_of_it(driver, suggest):
    volume = suggest(ball(4))
    driver.client.lost = True
    driver.click(driver.world(volume, CENTRE))
    driver.until(lambda: driver.workspace.isLost, "noticing")
    assert np.array_equal(shown(driver), ball(4))
    driver.client.lost = False
    driver.connect()
    driver.until(lambda: driver.session.isOpen and driver.session.isSettled, "the case")
    assert np.array_equal(shown(driver), ball(4))
    driver.click(driver.world(volume, CENTRE))
    driver.settle()
    confirm(driver)
    assert stored(driver).suggestion is SuggestionUse.TAKEN


def test_a_scene_that_is_closed_over_a_suggestion_leaves_nothing_behind(driver, suggest):
    import slicer

    suggest(ball())
    slicer.mrmlScene.Clear(False)
    driver.host.spin(0.1)
    assert driver.session.image is None and not driver.ui.suggestionBox.visible
    driver.press("S")
    driver.press("X")
    assert driver.client.campaign.case("case").draft is None


def test_the_list_says_for_which_cases_a_suggestion_is_ready(driver, suggest):
    suggest(ball())
    driver.add_volume(a_ball(seed=1), name="other")
    driver.workspace.closeCase()
    driver.ui.addSceneButton.click()
    driver.until(lambda: driver.ui.casesTable.item(0, 2).text() != "", "the note")
    assert driver.ui.casesTable.item(0, 2).text() == "suggestion ready, expected Dice .86"


def test_all_open_cases_are_sent_and_suggested_for_with_progress(driver):
    import slicer

    campaign = driver.client.campaign
    campaign.learning.current = 3
    for number in range(4):
        driver.add_volume(a_ball(seed=number), name=f"case {number}")
    bad = driver.add_volume(np.zeros((8, 8, 8), np.float32), name="empty")
    driver.ui.addSceneButton.click()
    driver.until(lambda: driver.ui.suggestAllButton.enabled, "the button")
    driver.ui.suggestAllButton.click()
    assert driver.ui.suggestAllButton.text == "Stop"
    driver.until(lambda: "4 suggestions are ready" in driver.ui.suggestLabel.text, "the suggestions")
    driver.until(lambda: not driver.widget.suggestAll.isWanted, "the end")
    assert "empty is passed over: " in driver.ui.suggestLabel.text and not driver.ui.suggestBar.visible
    assert slicer.mrmlScene.GetNodeByID(bad.GetID()) is not None, "what was in the scene stays there"
    assert driver.ui.casesTable.item(3, 2).text() == "suggestion ready"
    driver.workspace.attempt(lambda: driver.workspace.openCase("case 2"))
    driver.until(lambda: driver.session.isOpen, "the case")
    assert driver.session.work.isSuggestionShown and shown(driver).any()


def test_stopping_halfway_keeps_what_is_made(driver):
    campaign = driver.client.campaign
    campaign.learning.current, campaign.suggestions.held = 3, True
    for number in range(3):
        driver.add_volume(a_ball(seed=number), name=f"case {number}")
    driver.ui.addSceneButton.click()
    driver.until(lambda: driver.ui.suggestAllButton.enabled, "the button")
    driver.ui.suggestAllButton.click()
    driver.until(lambda: "0 of 3 done" in driver.ui.suggestLabel.text, "all three", 40)
    assert driver.ui.suggestBar.visible and "wait while somebody clicks" in driver.ui.suggestLabel.text
    driver.ui.suggestAllButton.click()
    driver.until(lambda: driver.ui.suggestAllButton.text == "Suggest for all open cases", "stopping")
    assert not campaign.suggestions.all_wanted and not driver.ui.suggestBar.visible


def test_suggestions_are_switched_off_and_on_in_the_panel(driver, suggest):
    suggest(ball())
    driver.workspace.closeCase()
    driver.until(lambda: driver.ui.suggestBox.enabled, "what the engine does")
    driver.ui.suggestBox.click()
    driver.until(lambda: "switched off" in driver.ui.suggestLabel.text, "the answer")
    assert not driver.client.campaign.suggestions.is_on and not driver.ui.suggestAllButton.enabled
    driver.workspace.attempt(lambda: driver.workspace.openCase("case"))
    driver.until(lambda: driver.session.isOpen, "the case")
    assert not shown(driver).any() and not driver.ui.suggestionBox.visible
    driver.ui.suggestBox.click()
    driver.until(lambda: driver.client.campaign.suggestions.is_on, "the answer")

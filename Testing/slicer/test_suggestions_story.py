"""The story of suggestions, by mouse and keys: all asked for, one accepted with a key, one cleared."""

from __future__ import annotations

import numpy as np
from driving import a_ball

from clopa_annotator.types import SuggestionUse
from clopa_annotator.wire.suggestion_messages import SuggestionMark

CENTRES = ((24, 40, 46), (22, 44, 50), (26, 38, 48), (24, 42, 44))
SHAPE = (48, 84, 96)


def an_organ(number):
    """A noisy volume with a dented ball, something brighter beside it, and where the ball is."""
    centre = CENTRES[number]
    dent = a_ball(SHAPE, 9.0, (centre[0], centre[1] - 14, centre[2] + 10), seed=7) > 0.5
    voxels = a_ball(SHAPE, 17.0, centre, seed=number)
    truth = (voxels > 0.5) & ~dent
    voxels[dent] = 0.35 * voxels[dent]
    voxels += 1.2 * (a_ball(SHAPE, 6.0, (24, 70, 80), seed=9) > 0.5)
    return voxels, truth


def wrong(truth):
    """What a model might take for it: the same beside it."""
    return np.roll(truth, 22, axis=2).astype(np.uint8)


def next_case(driver, keys):
    before = driver.session.caseId
    driver.press(keys)
    driver.until(lambda: driver.session.caseId != before and driver.session.isOpen, "the next case")
    driver.host.spin(0.1)


def test_the_story_of_suggestions(driver, artifacts):
    ui, campaign = driver.ui, driver.client.campaign
    truths = []
    for number in range(4):
        voxels, truth = an_organ(number)
        truths.append(truth)
        driver.add_volume(voxels, name=f"organ-{number + 1}")
    ui.addSceneButton.click()
    campaign.learning.current = 3
    driver.until(lambda: ui.suggestAllButton.enabled, "the button")
    ui.suggestAllButton.click()
    driver.until(lambda: "4 suggestions are ready" in ui.suggestLabel.text, "the suggestions", 60)
    expect_what_earlier_cases_taught(driver, truths)
    driver.until(lambda: "expected Dice .86" in ui.casesTable.item(1, 2).text(), "the list")
    driver.press("N")
    driver.until(lambda: driver.session.isOpen, "the first case")
    driver.host.spin(0.1)
    assert driver.session.work.isSuggestionShown and "Suggested by version 3" in ui.suggestionLabel.text
    look_at(driver, 0)
    driver.picture(artifacts, "suggested")
    next_case(driver, "Ctrl+Return")  # accepted as it is, with one key
    look_at(driver, 1)
    assert np.array_equal(driver.workspace.currentMask(), wrong(truths[1]))
    driver.picture(artifacts, "suggested-2-wrong")
    driver.press("X")
    driver.settle()
    assert not driver.workspace.currentMask().any()
    driver.click(driver.world(None, CENTRES[1]))
    driver.settle()
    driver.picture(artifacts, "suggested-3-cleared")
    next_case(driver, "Ctrl+Return")
    driver.click(driver.world(None, CENTRES[2]))  # nearly right: the click goes on from it
    driver.settle()
    assert "Taken as a start." in ui.suggestionLabel.text
    driver.picture(artifacts, "suggested-4-taken")
    next_case(driver, "Ctrl+Return")
    uses = [line.suggestion for line in campaign.statistics()]
    assert uses == [SuggestionUse.UNTOUCHED, SuggestionUse.CLEARED, SuggestionUse.TAKEN]
    first, cleared, taken = (line.first_shown_dice for line in campaign.statistics())
    assert first == 1.0 and cleared < 0.5 and 0.5 < taken <= 1.0


def expect_what_earlier_cases_taught(driver, truths):
    """The campaign's past says how good they are; of the second case the model has a wrong idea."""
    suggestions = driver.client.campaign.suggestions
    for number, truth in enumerate(truths):
        known = SuggestionMark(3, 0.9, 0.86, 0.74, 0.93, 12)
        mask = wrong(truth) if number == 1 else truth.astype(np.uint8)
        if number == 2:
            mask[:20] = 0
        suggestions.put(f"organ-{number + 1}", mask, known)


def look_at(driver, number):
    """Every view at the organ."""
    world = driver.world(None, CENTRES[number])
    for view in driver.host.views.values():
        view.jumpTo(world)
    driver.host.spin(0.05)

"""Cases whose suggestion the campaign does not show: they open empty, and their record says why."""

from __future__ import annotations

from driving import a_ball
from test_suggestions import CENTRE, ball, confirm, shown, stored, suggest

from clopa_annotator.case_order import CaseSettings
from clopa_annotator.types import SuggestionUse

__all__ = ["suggest"]


def test_where_the_campaign_withholds_it_the_case_opens_empty_and_the_record_says_so(driver, suggest):
    campaign = driver.client.campaign
    campaign.set_case_settings(CaseSettings(without_suggestion=1.0))
    driver.until(lambda: driver.workspace.cases.settings.without_suggestion == 1.0, "the setting")
    volume = suggest(ball())
    assert not shown(driver).any() and not driver.ui.suggestionBox.visible
    driver.press("S")
    assert not shown(driver).any(), "there is nothing to take"
    driver.click(driver.world(volume, CENTRE))
    driver.settle()
    confirm(driver)
    line = stored(driver)
    assert (line.suggestion, line.prompts) == (SuggestionUse.WITHHELD, 1)


def test_without_a_suggestion_nothing_is_withheld(driver):
    driver.client.campaign.set_case_settings(CaseSettings(without_suggestion=1.0))
    driver.until(lambda: driver.workspace.cases.settings.without_suggestion == 1.0, "the setting")
    volume = driver.add_volume(a_ball())
    driver.open_volume(volume)
    driver.click(driver.world(volume, CENTRE))
    driver.settle()
    confirm(driver)
    (line,) = driver.client.campaign.statistics()
    assert line.suggestion is SuggestionUse.NONE

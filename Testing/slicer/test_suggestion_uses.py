"""What the lead sees of suggestions: figures and curves apart for each use, and the share withheld."""

from __future__ import annotations

from dataclasses import replace

import pytest
from driving import a_ball

from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Confirmation, Image, PointPrompt, SuggestionUse, TimedPrompt

NONE, WITHHELD, UNTOUCHED, TAKEN, CLEARED = SuggestionUse
STORY = (
    *((NONE, 0.55 + 0.03 * n, None, 8 - n) for n in range(4)),
    *((WITHHELD, 0.66 + 0.02 * n, 0.78 + 0.01 * n, 6 - n) for n in range(3)),
    *((TAKEN, 0.80 + 0.02 * n, 0.80 + 0.02 * n, 3) for n in range(4)),
    *((UNTOUCHED, 1.0, 1.0, 0) for _ in range(2)),
    *((CLEARED, 0.3, 0.3, 7) for _ in range(1)),
)


def confirm(driver, story=STORY):
    """Confirmations with what was made of each suggestion, as an engine keeps them."""
    campaign = driver.client.campaign
    for number, (use, first, suggested, prompts) in enumerate(story):
        image, name = Image(a_ball(seed=number), Geometry((30, 40, 50))), f"case {number}"
        campaign.add(name, image, "")
        given = tuple(TimedPrompt(PointPrompt((15, 20, 25)), float(i)) for i in range(prompts))
        mask = (image.voxels > 0.5).astype("uint8")
        campaign.confirm(
            Confirmation(name, name, mask, given, "Ada", 20.0 + 8 * prompts, 1, first, suggestion=use)
        )
        version = campaign.case(name).versions[0]
        version.statistics = replace(version.statistics, suggestion_dice=suggested)
    driver.client.campaign.changed("case 0")
    driver.host.spin(0.3)


def lines(driver):
    table = driver.ui.usesTable
    return [
        [str(table.item(row, column).text()) for column in range(table.columnCount)]
        for row in range(table.rowCount)
    ]


def series(chart):
    return [str(chart.GetNthPlotSeriesNode(n).GetName()) for n in range(chart.GetNumberOfPlotSeriesNodes())]


def charts(driver):
    return {str(node.GetTitle()): node for node in driver.widget.learningPanel.plots.charts()}


def test_without_suggestions_there_is_nothing_to_tell_apart(driver):
    confirm(driver, STORY[:3])
    assert not driver.ui.usesTable.isVisible()
    assert series(charts(driver)["Quality of the first proposal"])[0] == "CLoPA First proposal"


def test_every_use_has_a_line_and_curves_of_its_own(driver):
    confirm(driver)
    driver.until(lambda: driver.ui.usesTable.rowCount == 6, "the table")
    found = {line[0]: line[1:] for line in lines(driver)}
    assert found["none"] == ["4", "0.60 ± .02", "–", "6.5", "72"]
    assert found["withheld"][:3] == ["3", "0.68 ± .01", "0.79 ± .01"]
    assert found["untouched"] == ["2", "1.00 ± .00", "1.00 ± .00", "0.0", "20"]
    assert found["all shown"][0] == "7"
    first = series(charts(driver)["Quality of the first proposal"])
    assert first[:5] == [
        "CLoPA First proposal",
        "CLoPA First proposal, suggestion withheld",
        "CLoPA First proposal, suggestion untouched",
        "CLoPA First proposal, suggestion taken",
        "CLoPA First proposal, suggestion cleared",
    ]
    assert (
        len(series(charts(driver)["Prompts per case"])) == len(series(charts(driver)["Time per case"])) == 5
    )
    both = series(charts(driver)["Quality of the suggestion"])
    assert both == ["CLoPA Suggestion shown", "CLoPA Suggestion withheld"]
    assert "Dice from withheld ones" in driver.ui.anchoringLabel.text


def test_the_share_without_a_suggestion_is_typed_by_the_lead_and_kept_by_the_campaign(driver):
    box, campaign = driver.ui.withheldBox, driver.client.campaign
    assert box.enabled and box.value == 0
    box.stepUp()
    box.stepUp()
    driver.until(lambda: campaign.case_settings.without_suggestion == 0.1, "the campaign")
    told = [event.name for event in campaign.events.since(0)]
    assert told.count("case_settings_changed") == 1, "asked once, when the lead has chosen"
    campaign.set_case_settings(replace(campaign.case_settings, without_suggestion=0.25))
    driver.until(lambda: box.value == 25, "what another lead chose")


@pytest.mark.parametrize("isOwner", [True, False])
def test_only_the_lead_may_change_it(panel, isOwner):
    from clopa_annotator.testing.fake_campaign import FakeCampaign
    from clopa_annotator.testing.fake_engine import FakeEngineClient

    client = FakeEngineClient(FakeCampaign())
    hello = client._hello
    client._hello = lambda: replace(hello(), is_owner=isOwner)
    panel.connect(client)
    assert panel.ui.withheldBox.enabled is isOwner


def test_pictures_for_the_guides(driver, artifacts):
    confirm(driver)
    driver.until(lambda: driver.ui.usesTable.rowCount == 6, "the table")
    for section in (driver.ui.campaignSection, driver.ui.casesSection, driver.ui.annotateSection):
        section.collapsed = True
    driver.ui.learningSection.collapsed = False
    campaign = driver.client.campaign
    campaign.set_case_settings(replace(campaign.case_settings, without_suggestion=0.1))
    driver.until(lambda: driver.ui.withheldBox.value == 10, "the share")
    driver.host.spin(0.1)
    driver.panelPicture(artifacts, "13-suggestion-uses", isWhole=True)

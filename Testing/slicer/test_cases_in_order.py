"""Which case comes next, and how the list is sorted: by mouse at the titles, by keyboard at the box."""

from __future__ import annotations

import pytest
from conftest import MODULE
from driving import Driver, a_ball
from test_cases import click_centre, open_folder

from clopa_annotator.case_order import CaseSettings
from clopa_annotator.wire.suggestion_messages import SuggestionMark

NAME, STATE, EXPECTED, ANNOTATOR, DATE = 0, 1, 5, 6, 7


@pytest.fixture
def folder(tmp_path):
    import slicer

    path = tmp_path / "images"
    path.mkdir()
    for number in (1, 2, 3, 10):
        node = slicer.util.addVolumeFromArray(a_ball(seed=number), name="x")
        slicer.util.saveNode(node, str(path / f"case {number}.nrrd"))
        slicer.mrmlScene.RemoveNode(node)
    return path


def column(driver, number):
    table = driver.ui.casesTable
    return [str(table.item(row, number).text()) for row in range(table.rowCount)]


def title(driver, number):
    """Click a column's title with the mouse."""
    import qt

    header = driver.ui.casesTable.horizontalHeader()
    x = header.sectionViewportPosition(number) + 6
    place = qt.QPointF(x, header.height / 2)
    everywhere = qt.QPointF(header.viewport().mapToGlobal(qt.QPoint(int(x), int(header.height / 2))))
    left, none = qt.Qt.LeftButton, qt.Qt.NoButton
    for kind, held in ((qt.QEvent.MouseButtonPress, left), (qt.QEvent.MouseButtonRelease, none)):
        event = qt.QMouseEvent(kind, place, everywhere, left, held, qt.Qt.NoModifier)
        qt.QApplication.sendEvent(header.viewport(), event)


def choose(driver, box, steps):
    """Choose in a box with the arrow keys."""
    import qt

    box.setFocus()
    key = qt.Qt.Key_Down if steps > 0 else qt.Qt.Key_Up
    for _ in range(abs(steps)):
        for kind in (qt.QEvent.KeyPress, qt.QEvent.KeyRelease):
            qt.QApplication.sendEvent(box, qt.QKeyEvent(kind, key, qt.Qt.NoModifier))
    driver.host.spin(0.05)


def suggest(driver, **certainty):
    """What the engine's suggestions say of the cases that it knows, by the number in their names."""
    for number, sure in certainty.items():
        case_id = f"case {number[1:]}"
        mark = SuggestionMark(0, sure, sure, sure - 0.1, sure + 0.1, 12)
        campaign = driver.client.campaign
        campaign.suggestions.put(case_id, (campaign.case(case_id).image.voxels > 0.5).astype("uint8"), mark)
        campaign.changed(case_id)
    driver.host.spin(0.1)


def sent(driver, folder):
    """Every image of the list is at the engine."""
    for source in driver.workspace.state.sources:
        volume = driver.workspace.case.load(source)
        driver.client.prefetch_case(source.caseId, driver.workspace.case.image(volume))
        driver.workspace.case.removeIfOwned(volume)
        driver.host.spin(0.05)
    driver.until(lambda: len(driver.workspace.cases.rows) == 4, "the images")


def going_on(driver):
    """The cases that Next opens, one after the other, until there is none; each is confirmed."""
    found = []
    while driver.session.caseId not in found:
        driver.until(lambda: driver.session.isOpen, "the case")
        driver.host.spin(0.05)
        found.append(driver.session.caseId)
        click_centre(driver)
        driver.press("Ctrl+Return")
        driver.until(lambda: driver.session.isConfirmed or driver.session.caseId not in found, "the next")
        driver.host.spin(0.1)
    return found


def test_the_titles_sort_the_list_and_turn_it_round(driver, folder):
    open_folder(driver, folder)
    sent(driver, folder)
    suggest(driver, c2=0.8, c3=0.5)
    names = ["case 1", "case 10", "case 2", "case 3"]
    assert column(driver, NAME) == names, "as added"
    title(driver, NAME)
    assert column(driver, NAME) == ["case 1", "case 2", "case 3", "case 10"], "numbers as numbers"
    title(driver, EXPECTED)
    assert column(driver, NAME) == ["case 3", "case 2", "case 1", "case 10"], "none known comes last"
    assert column(driver, EXPECTED) == ["0.50 (0.40–0.60)", "0.80 (0.70–0.90)", "", ""]
    title(driver, EXPECTED)
    assert column(driver, NAME) == ["case 2", "case 3", "case 1", "case 10"]
    assert "12 confirmed cases" in driver.ui.casesTable.item(0, EXPECTED).toolTip()
    assert driver.workspace.nextSource().caseId == "case 10", "what comes next stays"


def test_the_box_sorts_by_keyboard_and_goes_back_to_as_added(driver, folder):
    open_folder(driver, folder)
    choose(driver, driver.ui.sortBox, 1)
    assert column(driver, NAME) == ["case 1", "case 2", "case 3", "case 10"]
    assert driver.ui.casesTable.horizontalHeader().isSortIndicatorShown()
    choose(driver, driver.ui.sortBox, -1)
    assert column(driver, NAME) == ["case 1", "case 10", "case 2", "case 3"]
    assert not driver.ui.casesTable.horizontalHeader().isSortIndicatorShown()


def test_a_sorted_list_keeps_the_selected_cases_and_opens_the_one_that_is_clicked(driver, folder):
    import qt

    open_folder(driver, folder)
    table = driver.ui.casesTable
    table.clearSelection()
    table.selectRow(1)
    table.setRangeSelected(qt.QTableWidgetSelectionRange(3, 0, 3, 7), True)
    title(driver, NAME)
    rows = {index.row() for index in table.selectionModel().selectedRows()}
    assert {table.item(row, NAME).text() for row in rows} == {"case 10", "case 3"}
    driver.widget.casesPanel._onDoubleClick(3, 0)
    driver.until(lambda: driver.session.isOpen and driver.session.caseId == "case 10", "the case")


def test_who_confirmed_and_when_is_said_once_somebody_has(driver, folder):
    open_folder(driver, folder)
    table = driver.ui.casesTable
    assert table.isColumnHidden(ANNOTATOR) and table.isColumnHidden(DATE)
    click_centre(driver)
    driver.workspace.annotator = "Ada"
    driver.ui.confirmButton.click()
    driver.until(lambda: column(driver, ANNOTATOR)[0] == "Ada", "the list")
    assert column(driver, DATE)[0].startswith("20") and not table.isColumnHidden(DATE)
    title(driver, DATE)
    title(driver, DATE)
    assert column(driver, NAME)[0] == "case 1"


def test_the_least_certain_case_comes_next_once_the_lead_says_so(driver, folder):
    open_folder(driver, folder)
    sent(driver, folder)
    suggest(driver, c2=0.8, c3=0.5)
    choose(driver, driver.ui.orderBox, 1)
    driver.until(lambda: driver.client.campaign.case_settings.order == "least-certain", "the engine")
    driver.until(lambda: driver.workspace.cases.settings.order == "least-certain", "the answer")
    assert going_on(driver) == ["case 1", "case 3", "case 2", "case 10"]


def test_a_case_that_was_left_undecided_comes_again_after_the_others(driver, folder):
    open_folder(driver, folder)
    sent(driver, folder)
    suggest(driver, c2=0.8, c3=0.5)
    driver.client.campaign.set_case_settings(CaseSettings("most-certain"))
    driver.until(lambda: driver.workspace.cases.settings.order == "most-certain", "the event")
    found = []
    for _ in range(5):
        driver.ui.nextCaseButton.click()
        driver.until(lambda: driver.session.isOpen and driver.session.caseId not in found[-1:], "the next")
        found.append(driver.session.caseId)
        driver.host.spin(0.05)
    assert found == ["case 2", "case 3", "case 10", "case 1", "case 2"]


def test_an_order_by_certainty_sends_every_listed_image_in_quiet_moments(driver, folder):
    from CLoPAAnnotatorLib.annotation import Prefetch

    open_folder(driver, folder)
    driver.client.campaign.set_case_settings(CaseSettings("least-certain"))
    driver.until(lambda: driver.workspace.cases.settings.order == "least-certain", "the event")
    prefetch, quiet = driver.workspace._prefetch, Prefetch.QUIET_S
    Prefetch.QUIET_S = 0.0
    try:
        for _ in range(6):
            prefetch.now()
            driver.host.spin(0.1)
    finally:
        Prefetch.QUIET_S = quiet
    assert set(driver.client.campaign.cases) == {"case 1", "case 10", "case 2", "case 3"}
    assert list(prefetch._volumes) == ["case 10"], "only the next one stays in memory"


def test_an_annotator_sees_the_order_and_cannot_change_it(panel, folder):
    from dataclasses import replace

    from clopa_annotator.testing.fake_campaign import FakeCampaign
    from clopa_annotator.testing.fake_engine import FakeEngineClient

    client = FakeEngineClient(FakeCampaign())
    client.campaign.set_case_settings(CaseSettings("random"))
    hello = client._hello
    client._hello = lambda: replace(hello(), is_owner=False)
    panel.connect(client)
    assert not panel.ui.orderBox.enabled and str(panel.ui.orderBox.currentText) == "at random"


def test_the_order_is_the_campaigns_and_there_again_with_the_next_connection(driver, folder, host):
    driver.client.campaign.set_case_settings(CaseSettings("random"))
    driver.until(lambda: str(driver.ui.orderBox.currentText) == "at random", "the event")
    from clopa_annotator.testing.fake_engine import FakeEngineClient

    campaign = driver.client.campaign
    host.closeModule(driver.widget)
    again = Driver(host, host.showModule(host.loadModule(MODULE)))
    driver.widget, driver.ui, driver.workspace = again.widget, again.ui, again.workspace
    again.connect(FakeEngineClient(campaign))
    assert str(again.ui.orderBox.currentText) == "at random"


def test_pictures_for_the_guides(driver, artifacts):
    from clopa_annotator.geometry import Geometry
    from clopa_annotator.types import Confirmation, Image
    from CLoPAAnnotatorLib.scene.CaseSources import CaseSource

    campaign = driver.client.campaign
    image = Image(a_ball(), Geometry((30, 40, 50)))
    names = [f"patient {number:02d}" for number in range(1, 13)]
    sure = (None, None, None, 0.86, 0.71, 0.91, 0.64, 0.88, 0.79, None, None, None)
    for name, certainty in zip(names, sure, strict=True):
        campaign.add(name, image, "")
        if certainty is not None:
            mark = SuggestionMark(0, certainty, certainty, certainty - 0.09, certainty + 0.05, 14)
            campaign.suggestions.put(name, (image.voxels > 0.5).astype("uint8"), mark)
    for number, name in enumerate(names[:3]):
        mask = (image.voxels > 0.5).astype("uint8")
        campaign.confirm(Confirmation(name, name, mask, (), ("Ada", "Grace")[number % 2]))
    driver.workspace.addSources(tuple(CaseSource(name, None, "none") for name in names))
    campaign.set_case_settings(CaseSettings("least-certain"))
    driver.until(lambda: driver.workspace.cases.settings.order == "least-certain", "the event")
    driver.until(lambda: column(driver, ANNOTATOR)[0] == "Ada", "the list")
    driver.ui.campaignSection.collapsed = driver.ui.annotateSection.collapsed = True
    title(driver, EXPECTED)
    assert column(driver, NAME)[:2] == ["patient 07", "patient 05"]
    driver.host.spin(0.1)
    driver.panelPicture(artifacts, "12-case-order", isWhole=True)


def test_a_withheld_suggestion_is_not_shown_and_the_record_says_so(driver, folder):
    from clopa_annotator.types import SuggestionUse

    open_folder(driver, folder)
    sent(driver, folder)
    suggest(driver, c10=0.8, c2=0.5)
    driver.client.campaign.set_case_settings(CaseSettings("added", 1.0))
    driver.until(lambda: driver.workspace.cases.settings.without_suggestion == 1, "the event")
    assert column(driver, EXPECTED)[1] == "0.80 (0.70–0.90)", "or the order would put it last"
    driver.ui.nextCaseButton.click()
    driver.until(lambda: driver.session.isOpen and driver.session.caseId == "case 10", "the next")
    assert not driver.workspace.currentMask().any() and "No suggestion is shown" in driver.said
    click_centre(driver)
    driver.ui.confirmButton.click()
    driver.until(lambda: driver.session.isConfirmed, "the confirmation")
    (line,) = driver.client.campaign.statistics()
    assert line.suggestion is SuggestionUse.WITHHELD and line.first_shown_dice is not None
    driver.client.campaign.set_case_settings(CaseSettings("added", 0.0))
    driver.ui.nextCaseButton.click()
    driver.until(lambda: driver.session.isOpen and driver.session.caseId == "case 2", "the next")
    assert driver.workspace.currentMask().any(), "shown again"

"""What somebody who uses this every day would stumble over."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from driving import Driver, a_ball
from surroundings import inside_slicer

CENTRE = (15, 20, 25)


def at(driver, *kji):
    return driver.workspace.case.grid.worldOf(np.array([kji], float))[0]


def opened(driver):
    driver.open_volume(driver.add_volume())
    return driver


def answering(text):
    """Types into the question that is about to be asked, and presses OK."""
    import qt

    def answer():
        dialog = qt.QApplication.activeModalWidget()
        dialog.findChild(qt.QLineEdit).setText(text)
        dialog.accept()

    qt.QTimer.singleShot(50, answer)


@pytest.mark.parametrize("button", ["Left", "Right"])
def test_the_second_of_two_quick_clicks_is_a_click_too(driver, button):
    opened(driver)
    view = driver.host.views["Red"]
    view.jumpTo(at(driver, *CENTRE))
    layouts = driver.host.scene.GetNodesByClass("vtkMRMLLayoutNode")
    layouts.UnRegister(None)
    view.doubleClick(*view.toXY(at(driver, *CENTRE)), button)
    driver.settle()
    assert len(driver.session.prompts) == 2
    for number in range(layouts.GetNumberOfItems()):
        assert not layouts.GetItemAsObject(number).IsMaximizedViewNode(view.node)


def test_a_press_told_twice_and_a_second_button_make_one_click(driver):
    opened(driver)
    view = driver.host.views["Red"]
    x, y = view.toXY(at(driver, *CENTRE))
    for event in ("LeftButtonPress", "LeftButtonDoubleClick", "RightButtonPress", "RightButtonRelease",
                  "LeftButtonRelease"):  # fmt: skip
        view.event(f"{event}Event", x, y)
    driver.settle()
    assert [p.timed.prompt.positive for p in driver.session.prompts] == [True]


def test_one_prompt_is_not_called_prompts(driver):
    opened(driver)
    for count, words in ((1, "1 prompt "), (2, "2 prompts ")):
        driver.click(at(driver, *CENTRE))
        driver.settle()
        driver.host.spin(0.1)
        assert words in driver.ui.caseTitle.text, count


def test_the_reason_is_asked_in_a_dialog_of_its_own(driver):
    opened(driver)
    answering(" too noisy ")
    driver.ui.skipButton.click()
    driver.until(lambda: driver.ui.casesTable.item(0, 2).text() == "too noisy", "the reason")
    driver.until(lambda: "confirmed or skipped" in driver.said, "the end of the list")


def test_an_empty_mask_is_asked_about_before_it_is_confirmed(driver):
    opened(driver)
    driver.press("Ctrl+Return")
    driver.host.spin(0.1)
    assert "Nothing is marked" in driver.said and not driver.client.campaign.statistics()
    driver.press("Ctrl+Return")
    driver.until(lambda: len(driver.client.campaign.statistics()) == 1, "the confirmation")


def test_the_segment_is_called_confirmed_only_while_it_is(driver):
    opened(driver)
    node = driver.workspace.state.segmentation

    def name():
        return node.GetSegmentation().GetSegment("CLoPA_Proposal").GetName()

    driver.click(at(driver, *CENTRE))
    driver.settle()
    assert name() == "Proposal"
    driver.ui.confirmButton.click()
    driver.settle()
    assert name() == "Confirmed"
    driver.click(at(driver, 15, 5, 5), button="Right")
    driver.settle()
    assert name() == "Proposal" and driver.ui.confirmNextButton.text == "Confirm and next case"


def test_an_undo_on_the_way_can_be_redone(driver):
    opened(driver)
    driver.client.delay_s = 0.1
    driver.click(at(driver, *CENTRE))
    driver.press("Ctrl+Z")
    assert not driver.session.prompts
    driver.settle()
    assert not driver.session.prompts and not driver.workspace.currentMask().any()
    driver.press("Ctrl+Y")
    driver.settle()
    assert len(driver.session.prompts) == 1 and driver.workspace.currentMask()[CENTRE] == 1


def test_a_view_of_another_layout_takes_clicks_too(driver):
    opened(driver)
    hidden = driver.host.views.pop("Green")
    driver.widget.enter()
    driver.host.views["Green"] = hidden
    import slicer

    slicer.app.layoutManager().setLayout(4)
    driver.host.spin(0.05)
    driver.click(at(driver, *CENTRE), "Green")
    driver.settle()
    assert len(driver.session.prompts) == 1


def test_reload_brings_a_working_module_back(driver):
    from clopa_annotator.testing.fake_engine import FakeEngineClient

    opened(driver)
    driver.click(at(driver, *CENTRE))
    driver.settle()
    campaign = driver.client.campaign
    kept = {
        n: m for n, m in sys.modules.items() if n.split(".")[0] in ("CLoPAAnnotatorLib", "clopa_annotator")
    }
    try:
        driver.widget.onReload()
        import slicer

        again = Driver(driver.host, slicer.modules.CLoPAAnnotatorWidget)
        driver.widget = again.widget
        sys.modules.update(kept)  # the fake speaks with the classes that this test was loaded with
        assert again.widget.annotatePanel.gestures.isListening and campaign.case("case").draft is not None
        again.press("B")
        assert again.ui.boxTool.checked
    finally:
        sys.modules.update(kept)
    assert FakeEngineClient is type(driver.client)


def test_hand_edits_in_another_module_count_as_work(driver):
    import slicer

    opened(driver)
    now = [0.0]
    driver.session.clock._now = lambda: now[0]
    driver.session.clock.start()
    driver.widget.exit()
    for _ in range(3):
        now[0] += 10.0
        mask = driver.workspace.currentMask().copy()
        mask[int(now[0]) // 10, 2:5, 2:5] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            mask, driver.workspace.state.segmentation, "CLoPA_Proposal", driver.workspace.case.volume
        )
    assert driver.session.clock.seconds == pytest.approx(20.0)


@pytest.fixture
def datasets(tmp_path):
    """The same two images as a folder, an MSD dataset, an nnU-Net dataset and a CSV file."""
    import slicer

    node = slicer.util.addVolumeFromArray(a_ball(), name="x")
    for folder, ending in (("images", ""), ("msd/imagesTr", ""), ("nnunet/imagesTr", "_0000")):
        (tmp_path / folder).mkdir(parents=True)
        for name in ("a 1", "b"):
            slicer.util.saveNode(node, str(tmp_path / folder / f"{name}{ending}.nii.gz"))
    slicer.util.saveNode(node, str(tmp_path / "nnunet" / "imagesTr" / "a 1_0001.nii.gz"))
    slicer.mrmlScene.RemoveNode(node)
    (tmp_path / "msd" / "dataset.json").write_text(json.dumps({"training": []}))
    channels = {"channel_names": {"0": "T1", "1": "T2"}}
    (tmp_path / "nnunet" / "dataset.json").write_text(json.dumps(channels))
    (tmp_path / "list.csv").write_text("case;image\n".replace(";", ",") + "first,images/a 1.nii.gz\n"
                                       "second,images/b.nii.gz\n")  # fmt: skip
    return tmp_path


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("images", ["a 1", "b"]),
        ("msd", ["a 1", "b"]),
        ("nnunet", ["a 1", "b"]),
        ("list.csv", ["first", "second"]),
    ],
)
def test_cases_come_from_every_kind_of_list(driver, datasets, place, names):
    if place.endswith(".csv"):
        driver.widget.casesPanel.askForFile = lambda: str(datasets / place)
        driver.ui.addFileButton.click()
    else:
        driver.ui.casesPath.currentPath = str(datasets / place)
        driver.ui.addCasesButton.click()
    table = driver.ui.casesTable
    assert [table.item(row, 0).text() for row in range(table.rowCount)] == names
    table.selectRow(1)
    table.cellDoubleClicked.emit(1, 0)
    driver.until(lambda: driver.session.isOpen, "the case")
    assert driver.session.caseId == names[1] and driver.workspace.case.grid.shape == (30, 40, 50)


@pytest.mark.skipif(
    inside_slicer(), reason="PythonQt gives these flags as an object without a value; see below"
)
def test_the_browse_button_asks_for_a_folder(driver):
    assert driver.ui.casesPath.filters == driver.ui.casesPath.Dirs


@pytest.mark.skipif(not inside_slicer(), reason="the stand-in's button opens nothing; see above")
def test_the_browse_buttons_dialog_asks_for_a_folder(driver):
    import qt

    asked = []

    def look():
        dialog = qt.QApplication.activeModalWidget()
        asked.append(dialog.fileMode)
        dialog.reject()

    for path in (driver.ui.casesPath, driver.ui.campaignPath):
        qt.QTimer.singleShot(300, look)
        path.browse()
    assert [int(mode) for mode in asked] == [int(qt.QFileDialog.Directory)] * 2


def below(parent):
    """All objects under one."""
    for child in parent.children():
        yield child
        yield from below(child)


def test_no_key_is_one_that_slicers_menus_have(driver):
    import slicer

    import qt

    taken = set()
    for action in below(slicer.util.mainWindow()):
        if action.inherits("QAction") and action.enabled and action.visible:
            taken |= {keys.strip() for keys in qt.QKeySequence(action.shortcut).toString().split(",")}
    taken -= {"", "Ctrl+Z", "Ctrl+Y"}  # of Slicer's own undo, which no menu shows: it does not take them
    assert "Ctrl+0" in taken, "Slicer's error log has it"
    ours = {keys for keys, _ in driver.widget.annotatePanel._keys()}
    assert ours and not ours & taken

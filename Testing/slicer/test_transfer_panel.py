"""Labels in and cases out, from the panel: what is offered, shown, refused, stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from driving import a_ball

from clopa_annotator.cache.campaign_store import CampaignManifest, CampaignStore
from clopa_annotator.datasets.volumes import write_volume
from clopa_annotator.errors import ConfigError
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import CaseState, Confirmation, Image
from clopa_annotator.types.exports import EXPORTS

SHAPE = (30, 40, 50)


def add_cases(driver, *names: str, confirmed: bool = False) -> None:
    """Cases of the campaign, as files in a folder that the panel lists."""
    folder = Path(driver.widget.campaignPanel._settings.home) / "images"
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        image = Image(a_ball(seed=number), Geometry(SHAPE))
        write_volume(folder / f"{name}.nrrd", image.voxels, image.geometry)
        driver.client.campaign.add(name, image, str(folder / f"{name}.nrrd"))
        if confirmed:
            mask = (image.voxels > 0.5).astype(np.uint8)
            driver.client.campaign.confirm(Confirmation(name, name, mask, annotator="Ada"))
    driver.ui.casesPath.currentPath = str(folder)
    driver.ui.addCasesButton.click()
    driver.workspace.refreshCases()
    driver.until(lambda: len(driver.workspace.cases.rows) >= len(names), "the cases")


def labels(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        voxels = np.zeros(SHAPE, np.uint8)
        voxels[10:20, 15:25, 20:30] = 1
        voxels[2:4, 2:4, 2:4] = 2
        write_volume(folder / f"{name}.nii.gz", voxels, Geometry(SHAPE))
    return folder


def choose(box, value: str) -> None:
    box.setCurrentIndex(box.findData(value))


def done(driver) -> str:
    driver.until(lambda: driver.widget.transferPanel._call is None, "the transfer")
    return str(driver.ui.transferLabel.text)


def bring(
    driver, folder: Path, target: str = "target=1", kind: str = "suggestion", look: bool = False
) -> str:
    driver.ui.labelsPath.currentPath = str(folder)
    driver.ui.importTarget.text = target
    choose(driver.ui.importAsBox, kind)
    (driver.ui.importLookButton if look else driver.ui.importButton).click()
    return done(driver)


def test_a_suggestion_is_shown_with_where_it_came_from_and_trains_once_it_is_confirmed(driver, tmp_path):
    add_cases(driver, "one", "two")
    said = bring(driver, labels(tmp_path / "labels", "one", "stranger"))
    assert "1 of 2 labels imported as suggestions. 1 left out." in said
    assert "stranger: The campaign has no case" in said
    driver.workspace.attempt(lambda: driver.workspace.openCase("one"))
    driver.until(lambda: driver.session.isOpen, "the case")
    assert "suggestion from one.nii.gz" in driver.said
    assert driver.workspace.currentMask().sum() == 1000
    assert driver.client.campaign.statistics() == ()
    driver.ui.confirmButton.click()
    driver.until(lambda: driver.session.isConfirmed, "the confirmation")
    (line,) = driver.client.campaign.statistics()
    assert line.first_shown_dice is None


def test_looking_first_changes_nothing_and_confirming_counts(driver, tmp_path):
    add_cases(driver, "one", "two")
    folder = labels(tmp_path / "labels", "one", "two")
    assert "2 of 2 labels would be imported as confirmed masks." in bring(
        driver, folder, kind="confirmed", look=True
    )
    assert driver.client.campaign.statistics() == ()
    assert "2 of 2 labels imported as confirmed masks." in bring(driver, folder, kind="confirmed")
    driver.until(lambda: driver.workspace.cases.stateOf("two") is CaseState.CONFIRMED, "the list")
    assert "2 were there already." in bring(driver, folder, kind="confirmed")


def test_a_listed_case_that_the_campaign_does_not_know_comes_with_its_image(driver, tmp_path):
    write_volume(tmp_path / "new.nrrd", a_ball(seed=3), Geometry(SHAPE))
    driver.ui.casesPath.currentPath = str(tmp_path)
    driver.ui.addCasesButton.click()
    assert "1 of 1 labels imported" in bring(driver, labels(tmp_path / "labels", "new"))
    driver.workspace.attempt(lambda: driver.workspace.openCase("new"))
    driver.until(lambda: driver.session.isOpen, "the case, whose grid Slicer reads in its own way")
    assert "suggestion from" in driver.said


def test_cases_that_come_with_the_labels_are_listed_and_can_be_opened(driver, tmp_path):
    folder = labels(tmp_path / "labels", "a_seg")
    write_volume(folder / "a.nii.gz", a_ball(seed=3), Geometry(SHAPE))
    bring(driver, folder)
    driver.until(lambda: [s.caseId for s in driver.workspace.state.sources] == ["a"], "the list")
    driver.workspace.attempt(lambda: driver.workspace.openCase("a"))
    driver.until(lambda: driver.session.isOpen, "the case")


def a_campaign(folder: Path, **sources: str) -> Path:
    """Another campaign: cases with their masks confirmed, and where their images came from."""
    with CampaignStore.create(folder, CampaignManifest("another", 5, label="organ")) as store:
        for number, (name, source) in enumerate(sources.items()):
            image = Image(a_ball(seed=number), Geometry(SHAPE))
            store.add_case(name, image, source)
            mask = (image.voxels > 0.5).astype(np.uint8)
            store.confirm(Confirmation(f"c{number}", name, mask, annotator="Grace"))
    return folder


def test_cases_of_another_campaign_are_listed_and_opened_from_where_their_images_lie(driver, tmp_path):
    for number, name in enumerate(("a", "b")):
        write_volume(tmp_path / f"{name}.nrrd", a_ball(seed=number), Geometry(SHAPE))
    other = a_campaign(tmp_path / "other", a=str(tmp_path / "a.nrrd"), b=str(tmp_path / "b.nrrd"))
    said = bring(driver, other, target="", kind="confirmed")
    assert "2 of 2 labels imported as confirmed masks." in said
    driver.until(lambda: len(driver.workspace.state.sources) == 2, "the list")
    driver.workspace.attempt(lambda: driver.workspace.openCase("b"))
    driver.until(lambda: driver.session.isOpen, "the case, with the image that was imported")
    assert driver.workspace.cases.stateOf("b") is CaseState.CONFIRMED


def test_cases_of_another_campaign_whose_images_are_elsewhere_are_named(driver, tmp_path):
    bring(driver, a_campaign(tmp_path / "other", lost=str(tmp_path / "gone.nrrd")), target="")
    driver.until(lambda: "section 2" in str(driver.ui.transferLabel.text), "the sentence")
    assert (
        "1 of 1 labels imported" in driver.ui.transferLabel.text and "(lost)" in driver.ui.transferLabel.text
    )
    assert driver.workspace.state.sources == ()


@pytest.mark.parametrize(
    ("target", "says"),
    [("", "several labels: 1, 2"), ("target=9", "No file has the 9"), ("=", "NAME=VALUE")],
)
def test_what_cannot_be_imported_is_said_in_words(driver, tmp_path, target, says):
    add_cases(driver, "one")
    assert says in bring(driver, labels(tmp_path / "labels", "one"), target=target)


def test_nothing_chosen_and_no_engine_are_said_in_words(driver):
    driver.ui.importButton.click()
    assert "Choose a folder with labels" in driver.ui.transferLabel.text
    driver.workspace.disconnect()
    assert not driver.ui.importButton.enabled and not driver.ui.exportButton.enabled


def test_a_file_may_be_chosen_instead_of_a_folder(driver, tmp_path):
    add_cases(driver, "one")
    path = labels(tmp_path / "labels", "one") / "one.nii.gz"
    driver.widget.transferPanel.askForFile = lambda: str(path)
    driver.ui.labelsFileButton.click()
    assert "1 of 1" in bring(driver, path)
    driver.widget.transferPanel.askForFile = lambda: ""
    driver.ui.labelsFileButton.click()
    assert driver.ui.labelsPath.currentPath == str(path)


def test_every_format_of_the_one_list_is_offered_and_weights_ask_for_no_cases(driver):
    box = driver.ui.exportFormatBox
    assert [box.itemData(n) for n in range(box.count)] == [kind.name for kind in EXPORTS]
    for kind in EXPORTS:
        choose(box, kind.name)
        assert driver.ui.exportCasesBox.enabled is kind.holds_cases


def export(driver, folder: str, format: str = "nifti", cases: str = "all") -> str:
    driver.widget.transferPanel.askForFolder = lambda: folder
    choose(driver.ui.exportFormatBox, format)
    choose(driver.ui.exportCasesBox, cases)
    driver.ui.exportButton.click()
    return done(driver)


def test_cases_are_exported_into_a_new_folder_each_time(driver, tmp_path):
    add_cases(driver, "one", "two", confirmed=True)
    (tmp_path / "notes.txt").touch()
    for name in ("demonstration nifti", "demonstration nifti 2"):
        assert f"Exported to {tmp_path / name}. 2 cases." in export(driver, str(tmp_path))
        assert (tmp_path / name / "confirmed.tsv").read_text() == "one\ntwo\n"


def test_selected_and_accepted_cases_are_exported_alone(driver, tmp_path):
    add_cases(driver, "one", "three", "two", confirmed=True)
    table = driver.ui.casesTable
    driver.until(lambda: table.rowCount == 3, "the list")
    table.selectRow(1)
    assert "1 cases." in export(driver, str(tmp_path), "segnrrd", "selected")
    assert (tmp_path / "demonstration segnrrd" / "confirmed.tsv").read_text() == "three\n"
    driver.client.campaign.set_state("one", CaseState.NEEDS_REVIEW, "look")
    export(driver, str(tmp_path), "msd", "accepted")
    assert (tmp_path / "demonstration msd" / "confirmed.tsv").read_text() == "three\ntwo\n"


def test_a_selection_of_several_survives_what_others_do(driver, tmp_path):
    import qt

    add_cases(driver, "one", "three", "two", confirmed=True)
    table = driver.ui.casesTable
    driver.until(lambda: table.rowCount == 3, "the list")
    table.selectRow(0)
    select = qt.QItemSelectionModel.Select | qt.QItemSelectionModel.Rows
    table.selectionModel().select(table.model().index(2, 0), select)
    driver.workspace.refreshCases()
    driver.host.spin(0.2)
    assert driver.widget.transferPanel._selected() == ("one", "two")


def test_a_selection_without_a_mask_and_a_dismissed_question_export_nothing(driver, tmp_path):
    add_cases(driver, "one")
    driver.ui.casesTable.selectRow(0)
    assert "None of the selected cases is confirmed" in export(driver, str(tmp_path), cases="selected")
    export(driver, "")
    assert list(tmp_path.glob("demonstration*")) == []


def test_a_server_writes_into_its_own_folder_and_no_local_one_is_asked_for(driver):
    driver.widget.transferPanel._settings.usesServer = True
    driver.widget.transferPanel.askForFolder = lambda: pytest.fail("a local folder means nothing to a server")
    name = driver.widget.transferPanel._folder("nifti")
    assert name.startswith("demonstration nifti ") and "/" not in name and ":" not in name


def test_stopping_says_what_stays_and_frees_the_buttons(driver, tmp_path):
    add_cases(driver, "one")
    driver.ui.transferSection.collapsed = False
    driver.client.delay_s = 30.0
    driver.ui.labelsPath.currentPath = str(labels(tmp_path / "labels", "one"))
    driver.ui.importTarget.text = "1"
    driver.ui.importButton.click()
    driver.host.spin(0.05)
    assert not driver.ui.exportButton.enabled and driver.ui.transferStopButton.isVisibleTo(
        driver.ui.transferSection
    )
    driver.ui.transferStopButton.click()
    assert "Stopped." in driver.ui.transferLabel.text and driver.ui.exportButton.enabled
    driver.client.delay_s = 0.0


def test_who_is_not_the_owner_is_offered_nothing(driver):
    from dataclasses import replace

    driver.workspace.info = replace(driver.workspace.info, is_owner=False)
    driver.widget.transferPanel.refresh()
    assert not driver.ui.importButton.enabled and not driver.ui.exportButton.enabled


def test_a_lost_connection_ends_what_was_under_way_in_words(driver):
    driver.client.delay_s = 30.0
    driver.widget.transferPanel.askForFolder = lambda: "/nowhere"
    driver.ui.exportButton.click()
    driver.workspace.engineLost()
    assert "Connect and start it again" in driver.ui.transferLabel.text
    with pytest.raises(ConfigError):
        driver.widget.transferPanel._client()
    driver.client.delay_s = 0.0

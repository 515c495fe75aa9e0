"""Which targets are exported from section 5, and whose the voxels are that they share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from three_targets import CENTRES, KIDNEY, LIVER, TARGETS, a_client, a_volume

from clopa_annotator.geometry import Geometry
from clopa_annotator.testing.fake_campaign import FakeCampaign
from clopa_annotator.types import Confirmation, Image, Targets

SEVERAL = Targets(replace(target, overlaps=target.key == KIDNEY.target) for target in TARGETS)


@pytest.fixture
def driver(panel, tmp_path):
    """A campaign with a case whose liver and left kidney share voxels; exports go to a temporary folder."""
    volume = a_volume()
    campaign = FakeCampaign(targets=SEVERAL)
    campaign.add("case", Image(volume, Geometry(volume.shape)), "")
    for slot, reach in ((LIVER, 14), (KIDNEY, 14)):
        mask = np.zeros(volume.shape, np.uint8)
        k, j, i = CENTRES[slot]
        mask[k - 3 : k + 3, j - 3 : j + 3, max(i - reach, 0) : i + reach] = 1
        campaign.confirm(Confirmation(f"of {slot.target}", "case", mask, annotator="Ada", slot=slot))
    panel.connect(a_client(campaign))
    panel.ui.transferSection.collapsed = False
    panel.widget.transferPanel.askForFolder = lambda: str(tmp_path)
    choose_format(panel, "nifti")
    return panel


def choose_format(driver, format):
    box = driver.ui.exportFormatBox
    box.setCurrentIndex(box.findData(format))
    driver.host.spin(0.05)


def rows(driver):
    import qt

    table = driver.ui.exportTargetsTable
    items = [table.item(row, 0) for row in range(table.rowCount)]
    return [(str(item.text()), item.checkState() == qt.Qt.Checked) for item in items]


def untick(driver, row):
    import qt

    driver.ui.exportTargetsTable.item(row, 0).setCheckState(qt.Qt.Unchecked)
    driver.host.spin(0.05)


def export(driver):
    driver.ui.exportButton.click()
    driver.until(lambda: driver.widget.transferPanel._call is None, "the export")
    return str(driver.ui.transferLabel.text)


def exported_order(driver, monkeypatch):
    """What the engine is asked for by a press of the button."""
    orders = []
    ask = driver.client.export
    monkeypatch.setattr(driver.client, "export", lambda order, told: orders.append(order) or ask(order, told))
    export(driver)
    return orders[0] if orders else None


def shown(driver, name):
    return getattr(driver.ui, name).isVisibleTo(driver.ui.transferSection)


def test_segments_that_share_voxels_are_refused_by_name_until_the_list_decides(driver, tmp_path):
    assert rows(driver) == [("liver", True), ("left kidney", True), ("lesion", True)]
    assert "liver and left kidney share" in export(driver)
    assert list(tmp_path.iterdir()) == []
    driver.ui.exportSharedBox.checked = True
    assert "Exported to" in export(driver)


def test_the_order_of_the_list_is_the_priority_and_keeps_its_ticks(driver, monkeypatch):
    driver.ui.exportSharedBox.checked = True
    assert not driver.ui.exportTargetUpButton.enabled
    driver.ui.exportTargetsTable.setCurrentCell(1, 0)
    driver.ui.exportTargetUpButton.click()
    untick(driver, 2)
    assert rows(driver) == [("left kidney", True), ("liver", True), ("lesion", False)]
    assert driver.ui.exportTargetsTable.currentRow() == 0 and not driver.ui.exportTargetUpButton.enabled
    order = exported_order(driver, monkeypatch)
    assert order.targets == order.priority == ("left kidney", "liver")


def test_what_is_not_ticked_is_not_exported_and_shares_nothing(driver, monkeypatch):
    untick(driver, 0)
    order = exported_order(driver, monkeypatch)
    assert (order.targets, order.priority) == (("left kidney", "lesion"), ())
    assert "Exported to" in driver.ui.transferLabel.text


def test_nothing_ticked_is_said_and_nothing_is_asked_of_the_engine(driver, monkeypatch):
    for row in range(3):
        untick(driver, row)
    assert exported_order(driver, monkeypatch) is None
    assert "Tick at least one segment" in driver.ui.transferLabel.text


def test_layers_need_no_priority_and_a_model_is_of_one_segment(driver, monkeypatch):
    driver.ui.exportSharedBox.checked = True
    choose_format(driver, "segnrrd")
    assert shown(driver, "exportTargetsBox") and not shown(driver, "exportSharedBox")
    assert exported_order(driver, monkeypatch).priority == ()
    choose_format(driver, "model")
    assert "weights of one segment" in export(driver)
    choose_format(driver, "weights")
    assert not shown(driver, "exportTargetsBox")


def test_a_target_that_is_added_later_comes_last_and_one_target_has_no_list(driver):
    driver.ui.exportTargetsTable.setCurrentCell(1, 0)
    driver.ui.exportTargetUpButton.click()
    targets = driver.workspace.targets.targets
    driver.workspace.setTargets(Targets(targets).with_new(replace(TARGETS[0], name="spleen")), pytest.fail)
    driver.until(lambda: len(rows(driver)) == 4, "the new target")
    assert [name for name, _ in rows(driver)] == ["left kidney", "liver", "lesion", "spleen"]
    driver.connect(a_client(FakeCampaign()))
    driver.until(lambda: not shown(driver, "exportTargetsBox"), "the one target")

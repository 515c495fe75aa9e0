"""The proposal and everything that it must not touch."""

from __future__ import annotations

import numpy as np
import pytest

CENTRE = (15, 20, 25)


def neighbours(driver, volume, touching=True):
    """A segmentation with two segments of its own, sharing one layer, around the ball."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    masks = {}
    for name, box in (("left", np.s_[10:20, 12:20, 15:25]), ("right", np.s_[10:20, 20:30, 15:35])):
        masks[name] = np.zeros((30, 40, 50), np.uint8)
        masks[name][box] = 1
        segment = node.GetSegmentation().AddEmptySegment(name, name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(masks[name], node, segment, volume)
    return node, masks


def read(node, segment, volume):
    import slicer

    return (slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, volume) > 0).astype(np.uint8)


def test_neighbours_that_touch_or_overlap_are_never_changed(driver):
    volume = driver.add_volume()
    node, masks = neighbours(driver, volume)
    driver.ui.segmentationSelector.setCurrentNode(node)
    driver.open_volume(volume)
    for j in (18, 20, 22):
        driver.click(driver.world(volume, (15, j, 25)))
        driver.settle()
    driver.click(driver.world(volume, CENTRE), button="Right")
    driver.settle()
    driver.press("Ctrl+Z")
    driver.settle()
    assert driver.workspace.currentMask().sum() > 500
    for name, mask in masks.items():
        assert np.array_equal(read(node, name, volume), mask)
    driver.ui.confirmButton.click()
    driver.settle()
    for name, mask in masks.items():
        assert np.array_equal(read(node, name, volume), mask)


def test_a_segment_that_joined_the_proposals_layer_survives(driver):
    """Slicer puts a new empty segment into the first shared layer: the peer's data loss."""
    import slicer

    volume = driver.add_volume()
    driver.open_volume(volume)
    driver.click(driver.world(volume, CENTRE))
    driver.settle()
    node = driver.workspace.state.segmentation
    other = node.GetSegmentation().AddEmptySegment("other", "other")
    mask = np.zeros((30, 40, 50), np.uint8)
    mask[0:10, 0:10, 0:10] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, other, volume)
    node.GetSegmentation().CollapseBinaryLabelmaps(False)
    before = driver.workspace.currentMask()
    driver.click(driver.world(volume, (15, 5, 5)))
    driver.settle()
    assert np.array_equal(read(node, other, volume), mask)
    assert (driver.workspace.currentMask() & before).sum() == before.sum()


def test_a_segmentation_on_another_grid_keeps_its_segments(driver):
    import slicer

    volume = driver.add_volume()
    coarse = driver.add_volume(np.zeros((10, 10, 10), np.float32) + np.arange(10, dtype=np.float32),
                               np.diag([5, 4, 3, 1]).astype(float), "coarse")  # fmt: skip
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "coarse segments")
    node.SetReferenceImageGeometryParameterFromVolumeNode(coarse)
    segment = node.GetSegmentation().AddEmptySegment("c", "c")
    mask = np.zeros((10, 10, 10), np.uint8)
    mask[3:8, 3:8, 3:8] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment, coarse)
    driver.ui.segmentationSelector.setCurrentNode(node)
    driver.open_volume(volume)
    driver.click(driver.world(volume, CENTRE))
    driver.settle()
    assert driver.workspace.currentMask()[CENTRE] == 1
    assert np.array_equal(read(node, "c", coarse), mask)


def test_only_the_changed_box_is_written(driver):
    volume = driver.add_volume()
    driver.open_volume(volume)
    proposal = driver.workspace.case.proposal
    array = proposal._array
    array[0, 0, 0] = 1  # a mark far from the ball, not in any answer
    driver.click(driver.world(volume, CENTRE))
    driver.settle()
    assert proposal._array is array and array[0, 0, 0] == 1 and array[CENTRE] == 1


def colourAt(image, x, y):
    """Of a pixel counted from below, as VTK does."""
    return image.pixelColor(x, image.height() - 1 - y)


def test_the_proposal_is_seen_in_the_slice_view(driver, tmp_path):
    import qt

    volume = driver.add_volume()
    driver.open_volume(volume)
    view = driver.host.views["Red"]
    ras = driver.world(volume, CENTRE)
    driver.click(ras)
    driver.ui.showPrompts.setChecked(False)
    driver.session.undo()
    driver.settle()
    x, y = view.toXY(driver.world(volume, (15, 23, 28)))
    view.screenshot(str(tmp_path / "a.png"))
    driver.session.redo()
    driver.settle()
    view.screenshot(str(tmp_path / "b.png"))
    colours = [colourAt(qt.QImage(str(tmp_path / f"{n}.png")), x, y) for n in "ab"]
    assert colours[0].blue() == colours[0].red() and colours[1].blue() > colours[1].red() + 20


def test_an_answer_is_drawn_without_anything_else_that_makes_the_view_draw(driver, tmp_path):
    """In Slicer the mask of a click was to be seen when the mouse next moved over something that is drawn."""
    import qt

    volume = driver.add_volume()
    driver.open_volume(volume)
    view = driver.host.views["Red"]
    ras, beside = (driver.world(volume, kji) for kji in (CENTRE, (15, 23, 28)))
    view.jumpTo(ras)
    driver.client.delay_s = 1.0
    driver.click(ras)
    driver.host.spin(0.4)  # the marker has been drawn, the answer is on its way
    colours = []
    for name in ("before", "after"):
        view.look(str(tmp_path / f"{name}.png"))
        colours.append(colourAt(qt.QImage(str(tmp_path / f"{name}.png")), *view.toXY(beside)))
        driver.settle()
        driver.host.spin(0.3)
    assert colours[0].blue() == colours[0].red() and colours[1].blue() > colours[1].red() + 20


def test_an_edit_by_hand_is_part_of_the_proposal(driver):
    import slicer

    volume = driver.add_volume()
    driver.open_volume(volume)
    driver.click(driver.world(volume, CENTRE))
    driver.settle()
    node = driver.workspace.state.segmentation
    edited = driver.workspace.currentMask().copy()
    edited[2:5, 2:5, 2:5] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(edited, node, "CLoPA_Proposal", volume)
    assert driver.session.work.isEdited
    driver.click(driver.world(volume, (15, 24, 25)))
    driver.settle()
    assert driver.workspace.currentMask()[3, 3, 3] == 1
    assert driver.client._session.proposal.mask[3, 3, 3] == 1, "the engine goes on from the edited mask"
    node.GetSegmentation().GetSegment("CLoPA_Proposal").SetColor(1, 0, 0)
    assert not driver.session.work.isEdited, "a new colour is no edit"
    driver.ui.confirmButton.click()
    driver.settle()
    (version,) = driver.client.campaign.case("case").versions
    assert version.mask[3, 3, 3] == 1 and version.mask[CENTRE] == 1


def test_a_surface_segmentation_is_refused_in_words(driver):
    import slicer
    import vtk

    driver.add_volume()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "surfaces")
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    sphere = vtk.vtkSphereSource()
    sphere.Update()
    node.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "s")
    driver.ui.segmentationSelector.setCurrentNode(node)
    driver.ui.addSceneButton.click()
    driver.workspace.attempt(lambda: driver.workspace.openCase("case"))
    assert "surfaces" in driver.said and node.GetSegmentation().GetNumberOfSegments() == 1


@pytest.mark.parametrize("kind", ["opacity", "deleted"])
def test_the_segment_can_be_dimmed_and_comes_back_when_deleted(driver, kind):
    volume = driver.add_volume()
    driver.open_volume(volume)
    node = driver.workspace.state.segmentation
    if kind == "opacity":
        driver.ui.opacitySlider.setValue(20)
        assert node.GetDisplayNode().GetSegmentOpacity2DFill("CLoPA_Proposal") == pytest.approx(0.2)
        return
    node.GetSegmentation().RemoveSegment("CLoPA_Proposal")
    driver.click(driver.world(volume, CENTRE))
    driver.settle()
    assert driver.workspace.currentMask()[CENTRE] == 1

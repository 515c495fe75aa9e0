"""The proposal in 3D: by check box and by key, following the mask, never in the way of a click."""

from __future__ import annotations

import numpy as np
import pytest

CENTRE = (15, 20, 25)


def models(driver):
    nodes = driver.host.scene.GetNodesByClass("vtkMRMLModelNode")
    nodes.UnRegister(None)
    return [
        n for n in map(nodes.GetItemAsObject, range(nodes.GetNumberOfItems())) if not n.GetHideFromEditors()
    ]


@pytest.fixture
def clicked(driver):
    driver.open_volume(driver.add_volume())
    driver.click(driver.world(None, CENTRE))
    driver.settle()
    return driver


def world_bounds(driver):
    """Bounds in RAS of the voxels that are marked, from their centres."""
    voxels = np.argwhere(driver.workspace.currentMask())
    points = driver.workspace.case.grid.worldOf(voxels.astype(float))
    return np.stack([points.min(0), points.max(0)], 1).ravel()


def shown(driver):
    bounds = np.zeros(6)
    models(driver)[0].GetRASBounds(bounds)
    return bounds


def test_nothing_is_made_for_3d_before_somebody_asks(clicked):
    clicked.host.spin(0.4)
    assert not models(clicked) and not clicked.widget.annotatePanel.surface._timer.active


def test_the_key_shows_the_proposal_where_it_is_and_hides_it_again(clicked):
    clicked.press("D")
    assert clicked.ui.show3D.checked
    clicked.until(lambda: models(clicked), "the surface")
    assert shown(clicked) == pytest.approx(world_bounds(clicked), abs=1.0)
    model = models(clicked)[0]
    assert model.GetDisplayNode().GetVisibility() and not model.GetSaveWithScene()
    segmentation = clicked.workspace.state.segmentation.GetSegmentation()
    assert not segmentation.ContainsRepresentation("Closed surface"), "an export makes its own, finer one"
    clicked.press("D")
    assert not models(clicked) and not clicked.ui.show3D.checked


def test_it_follows_clicks_undo_and_hand_edits(clicked):
    import slicer

    clicked.ui.show3D.click()

    def follows():
        mask = clicked.workspace.currentMask()
        return bool(mask.any()) == bool(models(clicked)) and (
            not mask.any() or np.allclose(shown(clicked), world_bounds(clicked), atol=1.0)
        )

    clicked.click(clicked.world(None, (15, 8, 8)))
    clicked.settle()
    clicked.until(follows, "the second click")
    clicked.press("Ctrl+Z")
    clicked.settle()
    clicked.until(follows, "undo")
    mask = clicked.workspace.currentMask().copy()
    mask[2:4, 2:6, 2:6] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        mask, clicked.workspace.state.segmentation, "CLoPA_Proposal", clicked.workspace.case.volume
    )
    clicked.until(follows, "the hand edit")
    clicked.press("Shift+R")
    clicked.settle()
    clicked.until(lambda: not models(clicked), "an empty mask has no surface")


def test_it_waits_while_an_answer_is_awaited(clicked, monkeypatch):
    from CLoPAAnnotatorLib.annotation import Surface3D

    clicked.ui.show3D.click()
    clicked.host.spin(0.4)
    drawn = []
    real = Surface3D.surfaceOf
    monkeypatch.setattr(
        Surface3D, "surfaceOf", lambda *a: (drawn.append(clicked.session.isBusy), real(*a))[1]
    )
    clicked.client.delay_s = 0.6
    for kji in ((15, 8, 8), (15, 30, 40)):
        clicked.click(clicked.world(None, kji))
        clicked.host.spin(0.3)
    clicked.settle()
    clicked.until(lambda: drawn, "the surface")
    clicked.host.spin(0.4)
    assert drawn == [False], "once, when nothing is awaited"


def test_it_is_gone_with_its_case_its_scene_and_the_module(clicked):
    clicked.ui.show3D.click()
    clicked.until(lambda: models(clicked), "the surface")
    clicked.workspace.closeCase()
    clicked.until(lambda: not models(clicked), "leaving the case")
    clicked.open_volume(clicked.add_volume(name="next"))
    clicked.click(clicked.world(None, CENTRE))
    clicked.settle()
    clicked.until(lambda: models(clicked), "the next case's surface")
    clicked.host.scene.Clear(False)
    clicked.host.spin(0.4)
    assert not models(clicked) and clicked.ui.show3D.checked
    clicked.widget.cleanup()
    assert not clicked.widget.annotatePanel.surface._timer.active


def test_a_layout_without_a_3d_view_is_told(clicked):
    import slicer

    layouts = slicer.app.layoutManager()
    layouts.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    assert layouts.threeDViewCount, "Slicer counts views of earlier layouts too"
    clicked.ui.show3D.click()
    assert "no 3D view" in clicked.said


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_surface_lies_around_the_voxels_with_its_outside_out(mirrored):
    import vtk

    from CLoPAAnnotatorLib.scene.MaskSurface import surfaceOf

    mask = np.ones((20, 24, 28), np.uint8)
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 0, -0.5 if mirrored else 0.5)
    surface = surfaceOf(mask, ((10, 30), (0, 24), (5, 33)), matrix)
    bounds = np.array(surface.GetBounds())
    x = sorted((-16.0, -2.5) if mirrored else (2.5, 16.0))
    assert bounds == pytest.approx([*x, 0, 23, 10, 29], abs=0.8)
    top = max(range(surface.GetNumberOfPoints()), key=lambda n: surface.GetPoint(n)[2])
    assert surface.GetPointData().GetNormals().GetTuple(top)[2] > 0.3


def test_a_large_mask_is_sampled_and_an_empty_one_has_no_surface():
    import vtk

    from CLoPAAnnotatorLib.scene.MaskSurface import surfaceOf

    big = np.ones((200, 200, 200), np.uint8)
    surface = surfaceOf(big, ((0, 200), (0, 200), (0, 200)), vtk.vtkMatrix4x4())
    assert 0 < surface.GetNumberOfPoints() < 20_000
    assert np.array(surface.GetBounds()) == pytest.approx([0, 199] * 3, abs=4.0)
    empty = surfaceOf(np.zeros((5, 5, 5), np.uint8), ((0, 5),) * 3, vtk.vtkMatrix4x4())
    assert empty.GetNumberOfPoints() == 0

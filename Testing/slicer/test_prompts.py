"""Clicks and drawings with the mouse: any orientation, any geometry, either sign."""

from __future__ import annotations

import numpy as np
import pytest

VIEWS = ("Red", "Yellow", "Green")


def matrix_of(spacing=(1, 1, 1), flips=(1, 1, 1), angle=0.0, origin=(0, 0, 0)):
    """An IJK-to-RAS matrix: voxel sizes, flipped axes, a turn about an oblique axis."""
    axis = np.array([0.3, 0.5, 0.8]) / np.linalg.norm([0.3, 0.5, 0.8])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.array(spacing) * np.array(flips)
    matrix[:3, 3] = origin
    return matrix


GEOMETRIES = {
    "plain": matrix_of(),
    "anisotropic": matrix_of((0.8, 0.9, 3.0), origin=(12, -34, 56)),
    "flipped": matrix_of((1, 1, 2), (-1, -1, 1)),
    "flipped through the slices": matrix_of((0.7, 0.7, 5), (1, -1, -1)),
    "oblique": matrix_of((1, 1.2, 1.5), angle=0.4, origin=(5, 6, 7)),
    "oblique, left-handed": matrix_of((1, 1, 1), (1, 1, -1), angle=-0.6),
}


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_click_lands_on_its_voxel_in_any_orientation_and_geometry(driver, geometry):
    volume = driver.add_volume(matrix=GEOMETRIES[geometry])
    driver.open_volume(volume)
    for number, (view, target) in enumerate(
        zip(VIEWS, [(15, 21, 26), (13, 20, 24), (16, 18, 27)], strict=True)
    ):
        driver.host.views[view].fit()
        driver.click(driver.world(volume, target), view)
        driver.settle()
        assert len(driver.session.prompts) == number + 1, view
        position = driver.session.prompts[-1].timed.prompt.position_kji
        assert np.abs(np.subtract(position, target)).max() <= 1, view
        assert driver.workspace.currentMask()[position] == 1, view


@pytest.mark.parametrize("kind", ["linear", "warp"])
def test_a_click_on_a_transformed_volume_lands_on_its_voxel(driver, kind):
    import slicer
    import vtk

    volume = driver.add_volume(matrix=GEOMETRIES["anisotropic"])
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    if kind == "linear":
        transform = vtk.vtkTransform()
        transform.Translate(10, -20, 5)
        transform.RotateWXYZ(25, 1, 1, 0)
    else:
        source, target = vtk.vtkPoints(), vtk.vtkPoints()
        for point in ((0, 0, 60), (40, 0, 60), (0, -40, 80), (40, -40, 140), (20, -20, 100)):
            source.InsertNextPoint(*point)
            target.InsertNextPoint(point[0] + 6, point[1] - 4, point[2] + point[0] * 0.1)
        transform = vtk.vtkThinPlateSplineTransform()
        transform.SetSourceLandmarks(source)
        transform.SetTargetLandmarks(target)
        transform.SetBasisToR()
    node.SetAndObserveTransformToParent(transform)
    volume.SetAndObserveTransformNodeID(node.GetID())
    driver.open_volume(volume)
    target = (15, 20, 25)
    driver.click(driver.world(volume, target))
    driver.settle()
    (given,) = driver.session.prompts
    assert np.abs(np.subtract(given.timed.prompt.position_kji, target)).max() <= 1


def test_right_click_shift_click_and_the_t_key_turn_the_sign(driver):
    volume = driver.add_volume()
    driver.open_volume(volume)
    inside, outside = driver.world(volume, (15, 20, 25)), driver.world(volume, (15, 5, 5))
    driver.click(inside)
    driver.click(outside, button="Right")
    driver.click(outside, shift=True)
    driver.press("T")
    driver.click(outside)
    driver.click(inside, button="Right")
    driver.settle()
    assert [p.timed.prompt.positive for p in driver.session.prompts] == [True, False, False, False, True]
    assert driver.ui.negativeButton.checked and not driver.ui.positiveButton.checked


@pytest.mark.parametrize("geometry", ["anisotropic", "flipped", "oblique"])
def test_box_scribble_and_lasso_take_what_was_drawn(driver, geometry):
    volume = driver.add_volume(matrix=GEOMETRIES[geometry])
    driver.open_volume(volume)
    for view in VIEWS:
        draw_everything(driver, volume, driver.host.views[view], is_oblique=geometry == "oblique")


def draw_everything(driver, volume, view, is_oblique, reach=40):
    view.fit()
    centre = driver.world(volume, (15, 20, 25))
    view.jumpTo(centre)
    x, y = view.toXY(centre)
    corners = [(x - reach, y - reach), (x + reach, y - reach), (x + reach, y + reach), (x - reach, y + reach)]
    grid = driver.workspace.case.grid
    lasso = drawn(driver, view, "L", [*corners, corners[0]])
    voxels = np.argwhere(lasso.mask) + [b[0] for b in lasso.bounds_kji]
    pixels = np.array([view.toXY(p) for p in grid.worldOf(voxels)])
    assert (np.abs(pixels - (x, y)) <= reach + 1.5 * pixel_per_voxel(view, grid)).all()
    assert len(voxels) > 20
    scribble = drawn(driver, view, "C", [(x - 30, y), (x, y), (x + 30, y)])
    local = np.array([15, 20, 25]) - [b[0] for b in scribble.bounds_kji]
    assert scribble.mask[tuple(local)] == 1
    box = drawn(driver, view, "B", [corners[0], (x, y), corners[2]])
    assert sum(b - a == 1 for a, b in box.bounds_kji) == 1
    if not is_oblique:
        assert all(a <= c < b for (a, b), c in zip(box.bounds_kji, (15, 20, 25), strict=True))


def drawn(driver, view, key, path):
    count = len(driver.session.prompts)
    driver.press(key)
    view.drag(path)
    driver.settle()
    assert len(driver.session.prompts) == count + 1, driver.said
    return driver.session.prompts[-1].timed.prompt


def pixel_per_voxel(view, grid):
    return max(grid.geometry.spacing_ijk_mm) / np.linalg.norm(np.subtract(view.toRAS(1, 0), view.toRAS(0, 0)))


def test_a_drag_with_the_point_tool_is_slicers(driver):
    volume = driver.add_volume()
    driver.open_volume(volume)
    view = driver.host.views["Red"]
    x, y = view.toXY(driver.world(volume, (15, 20, 25)))
    before = view.node.GetFieldOfView()
    view.drag([(x, y), (x, y + 30), (x, y + 60)], "Right")
    assert not driver.session.prompts
    assert view.node.GetFieldOfView() != before  # zoomed


def test_ctrl_drag_and_the_middle_button_are_slicers(driver):
    volume = driver.add_volume()
    driver.open_volume(volume)
    view = driver.host.views["Red"]
    x, y = view.toXY(driver.world(volume, (15, 20, 25)))
    view.drag([(x, y), (x + 5, y)], control=True)
    view.drag([(x, y), (x + 50, y)], "Middle")
    assert not driver.session.prompts


def test_undo_redo_and_start_over_go_many_levels(driver):
    volume = driver.add_volume()
    driver.open_volume(volume)
    masks = [driver.workspace.currentMask()]
    for j in (18, 20, 22):
        driver.click(driver.world(volume, (15, j, 25)))
        driver.settle()
        masks.append(driver.workspace.currentMask())
    driver.press("Shift+R")
    driver.settle()
    assert not driver.workspace.currentMask().any() and not driver.session.prompts
    for level in (3, 2, 1, 0):
        driver.press("Ctrl+Z")
        driver.settle()
        assert np.array_equal(driver.workspace.currentMask(), masks[level])
        assert len(driver.session.prompts) == level
    for level in (1, 2, 3):
        driver.press("Ctrl+Y")
        driver.settle()
        assert np.array_equal(driver.workspace.currentMask(), masks[level])
    assert len(driver.workspace.case.markers.nodes()) == 1


def test_prompts_can_be_hidden(driver):
    volume = driver.add_volume()
    driver.open_volume(volume)
    driver.click(driver.world(volume, (15, 20, 25)))
    driver.settle()
    driver.press("H")
    assert not any(n.GetDisplayNode().GetVisibility() for n in driver.workspace.case.markers.nodes())
    driver.press("H")
    assert all(n.GetDisplayNode().GetVisibility() for n in driver.workspace.case.markers.nodes())


def test_keys_live_only_while_the_module_is_shown(driver):
    volume = driver.add_volume()
    driver.open_volume(volume)
    driver.widget.exit()
    driver.press("B")
    driver.click(driver.world(volume, (15, 20, 25)))
    driver.host.spin(0.05)
    assert driver.workspace.state.tool == "point" and not driver.session.prompts
    driver.widget.enter()
    driver.press("B")
    assert driver.workspace.state.tool == "box" and driver.ui.boxTool.checked

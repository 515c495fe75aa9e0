"""From a gesture in a slice view to a prompt, and from a prompt back to what is drawn for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clopa_annotator.errors import PromptError
from clopa_annotator.geometry import BoundsKji
from clopa_annotator.types import BoxPrompt, LassoPrompt, MaskPrompt, PointPrompt, Prompt, ScribblePrompt
from CLoPAAnnotatorLib.scene.Drawing import OUTSIDE, boxBounds, lassoRegion, scribbleRegion
from CLoPAAnnotatorLib.scene.VolumeGrid import VolumeGrid
from CLoPAAnnotatorLib.Texts import tr

Tool = str
TOOLS: tuple[Tool, ...] = ("point", "box", "scribble", "lasso")
BRUSH_IN_EDGES = 1.0
"""Radius of the scribble's brush, in voxel edges of the slice plane's coarser direction."""


@dataclass(frozen=True, eq=False)
class SlicePlane:
    """The plane of a slice view.

    Attributes:
        xyToRas: 4x4 matrix from view pixels to world RAS in mm.
    """

    xyToRas: npt.NDArray[np.float64]

    @property
    def pixelMm(self) -> npt.NDArray[np.float64]:
        """Size of a pixel along x and y."""
        return np.linalg.norm(self.xyToRas[:3, :2], axis=0)

    def planeMm(self, xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(n, 2) pixels as millimetres in the plane."""
        return np.asarray(xy, float) * self.pixelMm

    def world(self, planeMm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(n, 3) world points of (n, 2) millimetres in the plane."""
        xy = np.asarray(planeMm, float) / self.pixelMm
        return xy @ self.xyToRas[:3, :2].T + self.xyToRas[:3, 3]


def promptFromGesture(
    tool: Tool, positive: bool, xy: npt.NDArray[np.float64], plane: SlicePlane, grid: VolumeGrid
) -> tuple[Prompt, npt.NDArray[np.float64]]:
    """The prompt that a gesture means, and the world line that shows it.

    Args:
        tool: one of `TOOLS`.
        positive: whether it adds to the target.
        xy: (n, 2) pixels that the mouse went through; one for a click.
        plane: the view's plane.
        grid: the volume.

    Raises:
        PromptError: outside the image, or too small to mean anything.
    """
    drawn = plane.planeMm(xy)
    line = plane.world(drawn)
    if tool == "point":
        return _point(grid, line[-1:], positive), line[-1:]
    if tool == "box":
        return _box(grid, plane, drawn, positive)

    def toIndex(points: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        return grid.indexKji(plane.world(points))

    step = grid.smallestEdgeMm / 2
    if tool == "lasso":
        mask, bounds = lassoRegion(drawn, toIndex, grid.shape, step)
        return LassoPrompt(mask, bounds, positive), _thinned(np.vstack([line, line[:1]]))
    radius = BRUSH_IN_EDGES * _planeEdgeMm(grid, plane)
    mask, bounds = scribbleRegion(drawn, toIndex, grid.shape, step, radius)
    return ScribblePrompt(mask, bounds, positive), _thinned(line)


def _point(grid: VolumeGrid, world: npt.NDArray[np.float64], positive: bool) -> PointPrompt:
    k, j, i = (int(x) for x in grid.indexKji(world)[0])
    if not grid.geometry.contains((k, j, i)):
        raise PromptError(tr(OUTSIDE))
    return PointPrompt((k, j, i), positive)


def _box(
    grid: VolumeGrid, plane: SlicePlane, drawn: npt.NDArray[np.float64], positive: bool
) -> tuple[BoxPrompt, npt.NDArray[np.float64]]:
    (x0, y0), (x1, y1) = drawn[0], drawn[-1]
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    kji = grid.continuousKji(plane.world(corners))
    bounds = boxBounds(kji, _normalAxis(grid, plane), grid.shape)
    return BoxPrompt(bounds, positive), grid.worldOf(boxOutlineKji(bounds))


def _normalAxis(grid: VolumeGrid, plane: SlicePlane) -> int:
    """The array axis (0 k, 1 j, 2 i) that the view looks along most."""
    origin, x, y = grid.continuousKji(plane.world(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])))
    inPlane = (np.abs(x - origin) + np.abs(y - origin)) * grid.geometry.spacing_kji_mm
    return int(np.argmin(inPlane))


def _planeEdgeMm(grid: VolumeGrid, plane: SlicePlane) -> float:
    edges = np.delete(np.array(grid.geometry.spacing_kji_mm), _normalAxis(grid, plane))
    return float(edges.max())


def boxOutlineKji(bounds: BoundsKji) -> npt.NDArray[np.float64]:
    """The closed outline (5, 3) of a flat box, along the outer voxel edges, as (k, j, i) positions."""
    low = np.array([b[0] for b in bounds], float) - 0.5
    high = np.array([b[1] for b in bounds], float) - 0.5
    normal = int(np.argmin(high - low))
    first, second = (axis for axis in range(3) if axis != normal)
    outline = np.tile((low + high) / 2, (5, 1))
    outline[[1, 2], first] = high[first]
    outline[[0, 3, 4], first] = low[first]
    outline[[2, 3], second] = high[second]
    outline[[0, 1, 4], second] = low[second]
    return outline


def _thinned(line: npt.NDArray[np.float64], most: int = 60) -> npt.NDArray[np.float64]:
    """At most so many points of a line, its ends included: enough for the eye."""
    if len(line) <= most:
        return line
    return line[np.unique(np.linspace(0, len(line) - 1, most).astype(int))]


def outlineOfPrompt(prompt: Prompt, grid: VolumeGrid) -> npt.NDArray[np.float64]:
    """What to draw for a prompt that came back with a draft: its point, or its outline, in world RAS."""
    if isinstance(prompt, MaskPrompt):
        return np.zeros((0, 3))
    if isinstance(prompt, PointPrompt):
        return grid.worldOf(np.array([prompt.position_kji], float))
    return grid.worldOf(boxOutlineKji(prompt.bounds_kji))

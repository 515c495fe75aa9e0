"""Scrolling through a sheared volume (a scan with a tilted gantry).

Slicer takes the distance between slices from the volume's axes, and finds 0 mm where the shear moves a slice
sideways by more than a pixel: the wheel then does nothing. For such a volume the distance is prescribed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer

from clopa_annotator.datasets.dicom_grid import tilt_degrees
from clopa_annotator.geometry import Geometry
from CLoPAAnnotatorLib.scene.VolumeGrid import toNumpy

SHEAR_DEGREES = 0.01


class SliceSpacing:
    """Prescribes distances in the slice views, and gives them back to Slicer."""

    def __init__(self) -> None:
        self._changed: list[Any] = []

    def use(self, geometry: Geometry) -> None:
        """Show a volume with this grid next."""
        self.reset()
        if tilt_degrees(geometry) < SHEAR_DEGREES:
            return
        axes = geometry.ijk_to_ras()[:3, :3]
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            normal = toNumpy(node.GetSliceToRAS())[:3, 2]
            along = np.abs(normal @ axes)
            cosines = along / np.linalg.norm(axes, axis=0)
            node.SetPrescribedSliceSpacing(1.0, 1.0, float(along[int(np.argmax(cosines))]))
            node.SetSliceSpacingModeToPrescribed()
            self._changed.append(node)

    def reset(self) -> None:
        """Let Slicer choose again."""
        for node in self._changed:
            if node.GetScene() is not None:
                node.SetSliceSpacingModeToAutomatic()
        self._changed = []

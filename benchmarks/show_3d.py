"""How long the proposal's surface for the 3D view takes, ours and Slicer's own, and what a click then costs.

    python benchmarks/show_3d.py

Needs slicer-core, PySide6-Essentials==6.8.3 and numpy. Prints one JSON object; the result that is kept in
``results`` says on which machine and when it was measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY / "Testing" / "host"), str(REPOSITORY / "CLoPAAnnotator")]


def timed(action, repeats):
    """Median and longest of some runs, in milliseconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append((time.perf_counter() - start) * 1000)
    return {"median_ms": round(statistics.median(times), 2), "longest_ms": round(max(times), 2)}


def ball(shape, radius):
    """A ball in the middle (k, j, i)."""
    squares = [(np.arange(n, dtype=np.float32) - n / 2) ** 2 for n in shape]
    distance = squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :]
    return (distance < radius**2).astype(np.uint8)


def measure(shape, radius, repeats):
    """One size: both surfaces, and the way of a changed box to the screen without and with each."""
    import slicer
    import vtk

    from CLoPAAnnotatorLib.scene.MaskSurface import surfaceOf
    from CLoPAAnnotatorLib.scene.ProposalSegment import ProposalSegment

    volume = slicer.util.addVolumeFromArray(np.zeros(shape, np.int16))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    proposal = ProposalSegment(node, volume)
    mask = ball(shape, radius)
    low = [n // 2 - radius - 1 for n in shape]
    box = tuple((max(a, 0), min(a + 2 * radius + 3, n)) for a, n in zip(low, shape, strict=True))
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)

    def write():
        proposal.write(mask, box)

    write()
    found = {"write": timed(write, repeats)}
    found["our surface"] = timed(lambda: surfaceOf(*proposal.crop(), matrix), repeats)

    def slicers_own():
        node.RemoveClosedSurfaceRepresentation()
        node.CreateClosedSurfaceRepresentation()

    found["slicers surface"] = timed(slicers_own, max(3, repeats // 4))
    write()
    found["slicers surface is left after a click"] = bool(
        node.GetSegmentation().ContainsRepresentation("Closed surface")
    )
    slicer.mrmlScene.Clear(False)
    return {"shape_kji": list(shape), "radius_voxels": radius, **found}


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=12)
    given = parser.parse_args()
    from host import Host

    Host()
    sizes = (((120, 256, 256), 20), ((120, 256, 256), 45), ((300, 512, 512), 100))
    result = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "repeats": given.repeats,
        "sizes": [measure(shape, radius, given.repeats) for shape, radius in sizes],
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

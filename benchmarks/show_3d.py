"""How long the proposal's surface for the 3D view takes, ours and Slicer's own, and what a click then costs.

    python benchmarks/show_3d.py

Needs slicer-core, PySide6-Essentials==6.8.3 and numpy.
"""

from __future__ import annotations

import sys

import bench
import numpy as np

sys.path[:0] = [str(bench.REPOSITORY / "Testing" / "host"), str(bench.REPOSITORY / "CLoPAAnnotator")]
SIZES = (((120, 256, 256), 20), ((120, 256, 256), 45), ((300, 512, 512), 100))


def ball(shape, radius):
    """A ball in the middle (k, j, i)."""
    squares = [(np.arange(n, dtype=np.float32) - n / 2) ** 2 for n in shape]
    distance = squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :]
    return (distance < radius**2).astype(np.uint8)


def in_ms(name, action, repeats):
    """Median and longest of some calls."""
    spread = bench.spread_ms([bench.timed(action) for _ in range(repeats)])
    return {f"{name}, {of}": round(spread[f"{of}_ms"], 2) for of in ("median", "longest")}


def one_size(shape, radius, repeats):
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

    def ours():
        surfaceOf(*proposal.crop(), matrix)

    def slicers_own():
        node.RemoveClosedSurfaceRepresentation()
        node.CreateClosedSurfaceRepresentation()

    write()
    found = {
        **in_ms("write", write, repeats),
        **in_ms("our surface", ours, repeats),
        **in_ms("slicers surface", slicers_own, max(3, repeats // 4)),
    }
    write()
    found["slicers surface is left after a click"] = bool(
        node.GetSegmentation().ContainsRepresentation("Closed surface")
    )
    slicer.mrmlScene.Clear(False)
    return {"shape_kji": list(shape), "radius_voxels": radius, **found}


def measure(given, _scratch):
    """Every size."""
    from host import Host

    Host()
    sizes = [one_size(shape, radius, given.repeats) for shape, radius in SIZES]
    return {"repeats": given.repeats, "sizes": sizes}


if __name__ == "__main__":
    bench.main(__doc__, measure, {"--repeats": 12})

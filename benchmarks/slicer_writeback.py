"""How long a click's way back to the screen takes, without the network: the changed box, and the whole.

    python benchmarks/slicer_writeback.py

Needs slicer-core, PySide6-Essentials==6.8.3 and numpy.
"""

from __future__ import annotations

import sys

import bench
import numpy as np

sys.path[:0] = [str(bench.REPOSITORY / "Testing" / "host"), str(bench.REPOSITORY / "CLoPAAnnotator")]


def spread(action, repeats):
    """How long the calls with 0, 1, ... took."""
    return bench.spread_ms([bench.timed(lambda n=n: action(n)) for n in range(repeats)])


def measure(given, _scratch):
    """Write a changed box, and the whole segment as a peer does it."""
    import slicer

    from CLoPAAnnotatorLib.scene.ProposalSegment import SEGMENT_ID, ProposalSegment
    from host import Host

    host, shape, repeats = Host(), tuple(given.shape), given.repeats
    volume = slicer.util.addVolumeFromArray(np.zeros(shape, np.int16))
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    proposal = ProposalSegment(node, volume)
    mask = np.zeros(shape, np.uint8)
    low = [(n - given.box) // 2 for n in shape]
    box = tuple((a, a + given.box) for a in low)

    def change(number):
        mask[tuple(slice(a, b) for a, b in box)] = number % 2

    def write_box(number):
        change(number)
        proposal.write(mask, box)

    def render(_number):
        for view in host.views.values():
            view.forceRender()

    def write_whole(number):
        change(number + 1)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, SEGMENT_ID, volume)

    ways = {"box": (write_box, repeats), "render three views": (render, repeats)}
    ways["whole segment"] = (write_whole, max(repeats // 5, 3))
    rows = {name: spread(do, times) for name, (do, times) in ways.items()}
    return {"shape_kji": shape, "box_edge": given.box, "ways": rows}


if __name__ == "__main__":
    edges = {"type": int, "nargs": 3, "default": (300, 512, 512), "metavar": ("K", "J", "I")}
    box = (96, "edge of the changed box in voxels")
    bench.main(__doc__, measure, {"--shape": edges, "--box": box, "--repeats": 20})

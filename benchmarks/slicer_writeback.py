"""How long a click's way back to the screen takes, without the network: the changed box, and the whole.

    python benchmarks/slicer_writeback.py

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
    for number in range(repeats):
        start = time.perf_counter()
        action(number)
        times.append((time.perf_counter() - start) * 1000)
    return {"median_ms": round(statistics.median(times), 3), "longest_ms": round(max(times), 3)}


def measure(shape, box_edge, repeats):
    """Write a changed box, and the whole segment as a peer does it."""
    import slicer

    from CLoPAAnnotatorLib.scene.ProposalSegment import SEGMENT_ID, ProposalSegment
    from host import Host

    host = Host()
    volume = slicer.util.addVolumeFromArray(np.zeros(shape, np.int16))
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    proposal = ProposalSegment(node, volume)
    mask = np.zeros(shape, np.uint8)
    low = [(n - box_edge) // 2 for n in shape]
    box = tuple((a, a + box_edge) for a in low)

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

    result = {"box": timed(write_box, repeats), "render_three_views": timed(render, repeats)}
    result["whole_segment"] = timed(write_whole, max(repeats // 5, 3))
    return result


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=(300, 512, 512), metavar=("K", "J", "I"))
    parser.add_argument("--box", type=int, default=96, help="edge of the changed box in voxels")
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    row = {
        "shape_kji": list(options.shape),
        "box_edge": options.box,
        **measure(tuple(options.shape), options.box, options.repeats),
        "machine": f"{platform.machine()}, {os.cpu_count()} threads, {platform.system()}",
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "date": datetime.now(timezone.utc).date().isoformat(),
    }
    print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()

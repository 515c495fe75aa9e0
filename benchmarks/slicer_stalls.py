"""How long the interface stands still while somebody annotates: the gaps between Qt's timer ticks.

    QT_QPA_PLATFORM=offscreen VTK_DEFAULT_OPENGL_WINDOW=vtkEGLRenderWindow python benchmarks/slicer_stalls.py

Clicks in a 512 x 512 x 300 volume with an in-process engine whose answers take as long as a small network's;
a timer that should tick every 5 ms notes its gaps. Slicer's own rendering is measured apart. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY / "Testing" / part) for part in ("host", "slicer")] + [
    str(REPOSITORY / "CLoPAAnnotator")
]


def box_session(edge):
    """A session that answers every click with a box, at once: the network's time is the client's delay."""
    from clopa_annotator.geometry import box_slices, clip_box
    from clopa_annotator.session.fake import FakeSession
    from clopa_annotator.types import Proposal

    shown = {"revision": 0}

    class Session(FakeSession):
        """Region growing replaced by a box."""

        def set_image(self, image):
            """Start with nothing."""
            super().set_image(image)
            shown["mask"] = np.zeros(image.geometry.shape_kji, np.uint8)

        def add_prompts(self, prompts):
            """A box around the newest click."""
            mask, half = shown["mask"], edge // 2
            bounds = clip_box(tuple((c - half, c + half) for c in prompts[-1].position_kji), mask.shape)
            mask[box_slices(bounds)] = 1
            shown["revision"] += 1
            return Proposal(mask, bounds, 0, shown["revision"])

    return Session()


def open_module(shape, answer_s):
    """The module with a case of this size open, and an engine whose answers take so long."""
    from driving import Driver

    from clopa_annotator.engine.fake import FakeEngineClient
    from clopa_annotator.engine.fake_campaign import FakeCampaign
    from host import Host

    host = Host()
    widget = host.showModule(host.loadModule(REPOSITORY / "CLoPAAnnotator" / "CLoPAAnnotator.py"))
    driver = Driver(host, widget)
    driver.connect(FakeEngineClient(FakeCampaign(), box_session(96)))
    volume = driver.add_volume(np.random.default_rng(0).integers(0, 500, shape, np.int16))
    driver.open_volume(volume)
    driver.client.delay_s = answer_s
    return driver, volume


def annotate(driver, volume, shape, clicks):
    """Click here and there; returns the gaps between a timer's ticks in milliseconds."""
    import qt

    gaps, last = [], [time.perf_counter()]

    def tick():
        now = time.perf_counter()
        gaps.append((now - last[0]) * 1000)
        last[0] = now

    timer = qt.QTimer()
    timer.setInterval(5)
    timer.connect("timeout()", tick)
    timer.start()
    random = np.random.default_rng(1)
    for _ in range(clicks):
        driver.click(driver.world(volume, [int(n * (0.3 + 0.4 * random.random())) for n in shape]))
        driver.settle()
        driver.host.spin(0.4)
    timer.stop()
    return gaps


def main():
    """Annotate for a while and print the gaps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=int, default=20)
    parser.add_argument("--answer-s", type=float, default=0.3)
    parser.add_argument("--shape", type=int, nargs=3, default=(300, 512, 512), metavar=("K", "J", "I"))
    options = parser.parse_args()
    os.environ["HOME"] = tempfile.mkdtemp()
    driver, volume = open_module(tuple(options.shape), options.answer_s)
    gaps = annotate(driver, volume, options.shape, options.clicks)
    rows = {f"p{p}_ms": round(float(np.percentile(gaps, p)), 1) for p in (50, 95, 99, 100)}
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    print(json.dumps({"ticks": len(gaps), **rows, "load": load, "clicks": options.clicks}))


if __name__ == "__main__":
    main()

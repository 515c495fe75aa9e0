"""How long the interface stands still while somebody annotates: the gaps between Qt's timer ticks.

    QT_QPA_PLATFORM=offscreen VTK_DEFAULT_OPENGL_WINDOW=vtkEGLRenderWindow python benchmarks/slicer_stalls.py

Clicks in a 512 x 512 x 300 volume, with an engine process as in real use (a small random network) or, with
``--engine here``, one in this process whose answers take as long as is asked. A timer that should tick every
5 ms notes its gaps; a gap is a stall less the 5 ms. Slicer's own rendering is not part of it: the offscreen
views render when they are asked to, which is measured apart.
"""

from __future__ import annotations

import os
import sys
import time

import bench
import numpy as np

TICK_MS = 5
sys.path[:0] = [str(bench.REPOSITORY / "Testing" / part) for part in ("host", "slicer", "")] + [
    str(bench.REPOSITORY / "CLoPAAnnotator")
]


def box_session(edge):
    """A session that answers every click with a box, at once: the network's time is the client's delay."""
    from clopa_annotator.geometry import box_slices, clip_box
    from clopa_annotator.testing.fake_session import FakeSession
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


def make_driver():
    """The module's panel in the headless host."""
    from driving import Driver

    from host import Host

    host = Host()
    widget = host.showModule(host.loadModule(bench.REPOSITORY / "CLoPAAnnotator" / "CLoPAAnnotator.py"))
    return Driver(host, widget)


def connect_process(driver, folder):
    """An engine process with a small random network, started as the panel does."""
    from double_engine import interpreter

    from clopa_annotator.campaign.composition import Campaign
    from clopa_annotator.config import CampaignConfig
    from clopa_annotator.testing.random_model import write_random_model

    model = write_random_model(folder / "model", patch_size_kji=(64, 64, 64), features=(8, 16, 32))
    config = CampaignConfig("Stalls", 100, model=str(model), strategy="clopa-in")
    Campaign.create(folder / "campaign", config, device="cpu").close()
    os.environ["CLOPA_ENGINE_PYTHON"] = interpreter(folder)
    driver.ui.campaignPath.currentPath = str(folder / "campaign")
    driver.ui.connectButton.click()
    driver.until(lambda: driver.workspace.isConnected, "the engine", 300)


def connect_here(driver, answer_s):
    """An engine in this process, whose answers take so long."""
    from clopa_annotator.testing.fake_campaign import FakeCampaign
    from clopa_annotator.testing.fake_engine import FakeEngineClient

    driver.connect(FakeEngineClient(FakeCampaign(), box_session(96)))
    driver.client.delay_s = answer_s


def open_volume(driver, shape):
    """A volume of this size, listed and opened; returns it and how long the interface was taken up."""
    volume = driver.add_volume(np.random.default_rng(0).integers(0, 500, shape, np.int16))
    start = time.perf_counter()
    driver.ui.addSceneButton.click()
    driver.workspace.openCase("case")
    taken = time.perf_counter() - start
    driver.until(lambda: driver.session.isOpen, "the case", 300)
    return volume, taken


def annotate(driver, volume, shape, clicks):
    """Click here and there; returns the gaps between a timer's ticks in milliseconds."""
    import qt

    gaps, last = [], [time.perf_counter()]

    def tick():
        now = time.perf_counter()
        gaps.append((now - last[0]) * 1000)
        last[0] = now

    timer = qt.QTimer()
    timer.setInterval(TICK_MS)
    timer.connect("timeout()", tick)
    timer.start()
    random = np.random.default_rng(1)
    for _ in range(clicks):
        driver.click(driver.world(volume, [int(n * (0.3 + 0.4 * random.random())) for n in shape]))
        driver.until(lambda: not driver.session.isBusy, "the answer", 300)
        driver.host.spin(0.5)  # the draft goes out
    timer.stop()
    return gaps


def confirm(driver):
    """How long the interface is taken up by the press of Confirm."""
    start = time.perf_counter()
    driver.ui.confirmButton.click()
    taken = time.perf_counter() - start
    driver.until(lambda: driver.session.isConfirmed, "the confirmation", 300)
    return taken


def render(driver):
    """Rendering the three views once, in milliseconds: Slicer's own part of a click."""
    start = time.perf_counter()
    for view in driver.host.views.values():
        view.forceRender()
    return round((time.perf_counter() - start) * 1000, 1)


def measure(options, folder):
    """Annotate for a while; the gaps."""
    os.environ["HOME"] = str(folder)
    driver = make_driver()
    connect_process(driver, folder) if options.engine == "process" else connect_here(driver, options.answer_s)
    volume, opening_s = open_volume(driver, tuple(options.shape))
    gaps = annotate(driver, volume, options.shape, options.clicks)
    stalls = [max(gap - TICK_MS, 0.0) for gap in gaps]
    row = {f"p{p}_ms": round(float(np.percentile(stalls, p)), 1) for p in (50, 95, 99, 100)}
    row |= {"opening_ms": round(opening_s * 1000), "render_three_views_ms": render(driver)}
    row |= {"confirm_ms": round(confirm(driver) * 1000, 1), "ticks": len(gaps), "clicks": options.clicks}
    driver.host.closeModule(driver.widget)
    return {"engine": options.engine, "shape_kji": list(options.shape), **row}


if __name__ == "__main__":
    bench.main(
        __doc__,
        measure,
        {
            "--engine": {"choices": ("process", "here"), "default": "process"},
            "--clicks": 20,
            "--answer-s": (0.3, "with --engine here"),
            "--shape": {"type": int, "nargs": 3, "default": (300, 512, 512), "metavar": ("K", "J", "I")},
        },
    )

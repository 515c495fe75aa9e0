"""What suggesting in idle time costs a click, and how soon a suggestion is on the screen.

    python benchmarks/suggesting.py [--clicks 40] [--pause 0.4] [--cases 12] [--json]

A served engine with the bundled network and a version 1 in use, on this machine, and a client of it over
HTTP. First the time to make a suggestion for a case of 64x64x64 voxels, from the event that one is ready to
the next. Then a case is opened whose suggestion is ready: ``opening`` is the time until the answer that has
the image's session and the suggestion, ``mask`` what the suggestion's part of the answer costs by itself. As
Slicer shows an image before the engine has answered, the suggestion is seen ``opening`` after the image. Then
clicks on that case, each reset afterwards, in blocks that alternate between an engine that has nothing to
suggest and one that suggests without end (what it makes is made again, and no quiet is asked for: the worst
case). ``p95 ratio`` is what the goal of 1.1 is about.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench
import numpy as np

sys.path.insert(0, str(bench.REPOSITORY / "Testing"))

SHAPE = (64, 64, 64)
CENTRE = (32, 32, 32)
BLOCK = 10


def an_image(seed: int) -> Any:
    """A noisy volume with a bright ball."""
    from clopa_annotator.geometry import Geometry
    from clopa_annotator.types import Image

    distance = np.sqrt(sum((g - 32) ** 2 for g in np.indices(SHAPE)))
    noise = np.random.default_rng(seed).normal(0, 0.1, SHAPE)
    return Image((noise + (distance < 12)).astype(np.float32), Geometry(SHAPE))


class Annotator:
    """A client whose calls wait."""

    def __init__(self, client: Any) -> None:
        self.client, self.ready = client, 0
        client.listen(self._heard)

    def _heard(self, event: Any) -> None:
        self.ready += event.name == "suggested"

    def ask(self, call: Any) -> Any:
        """The call's result."""
        box: dict[str, Any] = {}
        call.then(lambda r: box.update(result=r), lambda e: box.update(error=e))
        while not box:
            self.client.poll(0.01)
        if "error" in box:
            raise box["error"]
        return box["result"]

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait."""
        while not condition():
            self.client.poll(0.01)


def measure(options: bench.Options, scratch: Path) -> bench.Figures:
    """Everything, on one engine."""
    from engine_support import OWNER, make_campaign, serving

    from clopa_annotator import models
    from clopa_annotator.campaign.engine import EngineSettings
    from clopa_annotator.campaign.idle.surroundings import SuggestionSettings
    from clopa_annotator.client.http_client import HttpEngineClient

    folder = make_campaign(scratch / "campaign", models.resolve("bundled"))
    eager = SuggestionSettings(ahead=1000, quiet_s=0.0, look_s=0.01)
    with serving(folder, EngineSettings(suggestions=eager)) as running:
        promote(running)
        annotator = Annotator(HttpEngineClient(running.url, OWNER, scratch / "kept"))
        seconds = time_suggestions(annotator, options.cases)
        opening = time_opening(annotator)
        idle, suggesting = time_clicks(running, annotator, options)
        annotator.client.close()
    ratios = {q: float(np.percentile(suggesting, q) / np.percentile(idle, q)) for q in (50, 95)}
    return {
        "suggestion of 64 cube, s": float(np.median(seconds)),
        **opening,
        "p50 ratio": ratios[50],
        "p95 ratio": ratios[95],
        "clicks": {"idle": row(idle), "suggesting": row(suggesting)},
    }


def promote(running: Any) -> None:
    """Have a version 1 in use, which may suggest."""
    from engine_support import BETTER

    registry, base = running.engine.campaign.registry, running.engine.campaign.model.base_state()
    tensors = {n: p * 1.001 for n, p in base.items() if "norm" in n}
    version = registry.add_tensors(tensors, parent=0, parameter_group="in")
    registry.promote(version.number, BETTER)
    running.engine.events.publish("promoted", version=version.number, target="")


def time_suggestions(annotator: Annotator, cases: int) -> list[float]:
    """Seconds from one suggestion to the next, all images being there."""
    for number in range(cases):
        annotator.ask(annotator.client.prefetch_case(f"case {number}", an_image(number)))
    annotator.ask(annotator.client.switch_suggestions(False))
    annotator.ask(annotator.client.switch_suggestions(True))
    annotator.until(lambda: annotator.ready >= 1)
    times = []
    while annotator.ready < cases:
        before, started = annotator.ready, time.perf_counter()
        annotator.until(lambda before=before: annotator.ready > before)
        times.append((time.perf_counter() - started) / (annotator.ready - before))
    return times or [float("nan")]


def time_opening(annotator: Annotator) -> dict[str, float]:
    """Milliseconds until an opened case has its suggestion, and what the suggestion itself costs of them."""
    from clopa_annotator.wire.suggestion_messages import suggested_from_wire, suggested_to_wire

    times, image = [], an_image(0)
    for _ in range(6):
        seconds = bench.timed(lambda: annotator.ask(annotator.client.open_case("case 0", image)))
        times.append(1000 * seconds)
    opened = annotator.ask(annotator.client.open_case("case 0", image))
    row, arrays = suggested_to_wire(opened.suggestion)
    mask = 1000 * bench.timed(lambda: suggested_from_wire(row, arrays))
    return {"opening, ms": float(np.median(times)), "mask, ms": mask}


def time_clicks(
    running: Any, annotator: Annotator, options: bench.Options
) -> tuple[list[float], list[float]]:
    """Milliseconds of clicks, in blocks that alternate."""
    from clopa_annotator.types import PointPrompt

    around = running.engine.suggestions
    is_made, found = around._is_made, {False: [], True: []}
    for number in range(2 * max(options.clicks // BLOCK, 1)):
        busy = bool(number % 2)
        around._is_made = (lambda _: False) if busy else is_made
        around._wake.set()
        time.sleep(1.0)
        for _ in range(BLOCK):
            time.sleep(options.pause * np.random.default_rng(len(found[busy])).uniform(0.5, 1.5))
            call = annotator.client.add_prompts([PointPrompt(CENTRE)])
            found[busy].append(1000 * bench.timed(lambda call=call: annotator.ask(call)))
            annotator.ask(annotator.client.reset())
    around._is_made = is_made
    return found[False], found[True]


def row(times: list[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    return {
        "n": len(times),
        "p50, ms": float(np.percentile(times, 50)),
        "p95, ms": float(np.percentile(times, 95)),
        "most, ms": max(times),
    }


if __name__ == "__main__":
    bench.main(
        __doc__,
        measure,
        {
            "--clicks": (40, "clicks of each kind"),
            "--pause": (0.4, "mean seconds between two clicks"),
            "--cases": (12, "cases to suggest for"),
            "--threads": (2, "of PyTorch"),
        },
    )

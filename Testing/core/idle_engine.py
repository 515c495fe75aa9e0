"""A desk of suggestions on a campaign folder, without a network, a server or waiting for clicks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from clopa_annotator.cache.campaign_store import CampaignManifest, CampaignStore
from clopa_annotator.campaign.idle.ready_suggestions import ReadySuggestions
from clopa_annotator.campaign.idle.suggestion_desk import SuggestionDesk
from clopa_annotator.campaign.idle.surroundings import SuggestionSettings
from clopa_annotator.campaign.leases import CaseLeases
from clopa_annotator.campaign.prediction import LineVersion
from clopa_annotator.errors import EngineUnreachable
from clopa_annotator.events import EventLog
from clopa_annotator.geometry import Geometry
from clopa_annotator.suggestions.campaign_past import calibration_of
from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder
from clopa_annotator.testing.fake_suggester import FakeSuggester
from clopa_annotator.types import Image, Targets

SHAPE = (6, 7, 8)
EAGER = SuggestionSettings(quiet_s=0.0, look_s=0.01, retry_s=0.02)


def an_image(seed: int = 0) -> Image:
    voxels = np.random.default_rng(seed).normal(0, 1, SHAPE).astype(np.float32)
    voxels[2:4, 2:5, 2:6] += 5
    return Image(voxels, Geometry(SHAPE))


class IdleEngine:
    """Fulfils `surroundings.Surroundings`; everything can be set, and each pass can be watched.

    Attributes:
        version: the version in use, of every target.
        is_training: whether the trainer works.
        quiet_s: seconds since the last click.
        reason: why nothing is suggested.
        on_pass: called with the number of each pass, in the desk's thread, before it.
        order: case of every image that was begun, as the suggester saw them.
    """

    def __init__(self, store: CampaignStore) -> None:
        self.store, self.leases, self.events = store, CaseLeases(), EventLog()
        self.fake = FakeSuggester(version=1)
        self.version, self.is_training, self.quiet_s, self.reason = 1, False, 99.0, ""
        self.passes = 0
        self.on_pass: Callable[[int], object] = lambda number: None
        self.ended = threading.Event()

    def suggester(self) -> FakeSuggester:
        return self.fake

    def off(self) -> str:
        return self.reason

    def in_use(self, target: str) -> LineVersion:
        return LineVersion(target, self.version)

    def spare(self, wanted: LineVersion, work: Callable[[], bool]) -> bool:
        if self.ended.is_set():
            raise EngineUnreachable("The engine is ending.")
        self.passes += 1
        self.on_pass(self.passes)
        self.fake.version = wanted.version or 0
        return work()

    @property
    def names(self) -> list[str]:
        """Names of all events."""
        return [event.name for event in self.events.since(0)]

    @property
    def suggested(self) -> list[object]:
        """The cases that were suggested for, in order."""
        return [event.data["case_id"] for event in self.events.since(0) if event.name == "suggested"]


def a_store(folder: Path, cases: int = 3, targets: Targets | None = None) -> CampaignStore:
    manifest = CampaignManifest("c", 10, **({"targets": targets} if targets else {}))
    store = CampaignStore.create(folder, manifest)
    for number in range(cases):
        store.add_case(f"case {number}", an_image(number))
    return store


def a_desk(around: IdleEngine, settings: SuggestionSettings = EAGER) -> SuggestionDesk:
    folder = SuggestionFolder(around.store.folder)
    ready = ReadySuggestions(folder, lambda target: calibration_of(around.store.folder, around.store, target))
    return SuggestionDesk(around, folder, ready, settings)


@contextmanager
def at_work(desk: SuggestionDesk) -> Iterator[SuggestionDesk]:
    """The desk's thread runs meanwhile."""
    desk.start()
    try:
        yield desk
    finally:
        desk.close()


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.005)

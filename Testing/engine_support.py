"""A real engine for tests: a random model, a campaign in a temporary folder, a server on a free port."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import uvicorn

from clopa_annotator.campaign.composition import ONE_TARGET, Campaign
from clopa_annotator.campaign.engine import Engine, EngineSettings
from clopa_annotator.campaign.idle.surroundings import SuggestionSettings
from clopa_annotator.config import CampaignConfig
from clopa_annotator.geometry import Geometry
from clopa_annotator.server.app import make_engine_app
from clopa_annotator.server.request_guard import RequestGuardSettings
from clopa_annotator.server.serve import Tls, _listen, _server
from clopa_annotator.testing.random_model import QUICKEST, write_random_model
from clopa_annotator.types import (
    Confirmation,
    GateDecision,
    Image,
    PointPrompt,
    ScribblePrompt,
    Targets,
    TimedPrompt,
)
from clopa_annotator.wire.tokens import Identity, TokenBook

OWNER, ANNOTATOR, OTHER = "owner-token-" + "a" * 20, "annotator-token-" + "b" * 20, "other-token-" + "c" * 20
REVIEWER = "reviewer-token-" + "d" * 20
BETTER = GateDecision(True, "Better.", ("a",), (0.5,), (0.6,))
BOOK = {
    OWNER: Identity("Ada", "owner"),
    ANNOTATOR: Identity("Bob", "annotator"),
    OTHER: Identity("Eve", "annotator"),
    REVIEWER: Identity("Bob", "reviewer"),
}


def an_image(seed: int = 0, shape: tuple[int, int, int] = (40, 36, 32)) -> Image:
    rng = np.random.default_rng(seed)
    voxels = rng.normal(100, 10, shape).astype(np.int16)
    voxels[10:22, 12:24, 8:20] += 60
    return Image(voxels, Geometry(shape, (0.8, 0.9, 2.0), (10.0, -5.0, 3.5)))


def a_confirmation(name: str = "one") -> Confirmation:
    region = ScribblePrompt(np.ones((1, 2, 2), np.uint8), ((0, 1), (0, 2), (0, 2)))
    prompts = (TimedPrompt(PointPrompt((1, 2, 3)), 0.5), TimedPrompt(region, 1.5))
    return Confirmation(
        name, "Fall ä/1", np.eye(3, dtype=np.uint8)[None], prompts, "Ada", 12.0, 3, 0.5, "note"
    )


def a_model(folder: Path) -> Path:
    torch.set_num_threads(1)
    return write_random_model(folder, **QUICKEST)


def make_campaign(
    folder: Path,
    model: Path,
    size: int = 20,
    strategy: str = "clopa-in",
    targets: Targets = ONE_TARGET,
) -> Path:
    config = CampaignConfig("Test campaign", size, model=str(model), strategy=strategy)
    Campaign.create(folder, config, targets, device="cpu").close()
    return folder


def confirm_three_cases(campaign: Campaign) -> None:
    """Three cases, each confirmed with the bright box of `an_image`."""
    for number in range(3):
        image = an_image(number)
        campaign.store.add_case(f"case {number}", image)
        mask = np.zeros(image.voxels.shape, np.uint8)
        mask[10:22, 12:24, 8:20] = 1
        campaign.confirm(Confirmation(f"id {number}", f"case {number}", mask))


@dataclass
class Running:
    """A served engine."""

    engine: Engine
    url: str
    folder: Path


@contextmanager
def serving(
    folder: Path,
    settings: EngineSettings | None = None,
    guard: RequestGuardSettings | None = None,
    tls: Tls | None = None,
) -> Iterator[Running]:
    """Serve a campaign from a thread of this process; without ``settings`` it suggests nothing."""
    settings = settings or EngineSettings(suggestions=SuggestionSettings(runs=False))
    with Campaign.open(folder, device="cpu") as campaign:
        engine = Engine(campaign, settings)
        listener = _listen("127.0.0.1", 0)
        server = _server(make_engine_app(engine, TokenBook(BOOK), guard), listener, tls)
        ready = threading.Event()
        server.on_ready = lambda url: ready.set()
        server.install_signal_handlers = lambda: None
        thread = threading.Thread(target=lambda: asyncio.run(_serve(server, listener)), daemon=True)
        thread.start()
        assert ready.wait(60), "the engine did not come up"
        try:
            yield Running(engine, server.url, folder)
        finally:
            server.should_exit = True
            thread.join(60)
            engine.close()
            listener.close()


def add_version(running: Running, factor: float) -> int:
    """A promoted version whose norms are scaled."""
    campaign = running.engine.campaign
    base = campaign.model.base_state()
    tensors = {n: p * factor for n, p in base.items() if "norm" in n}
    version = campaign.registry.add_tensors(tensors, parent=0, parameter_group="in")
    return campaign.registry.promote(version.number, BETTER).number


async def _serve(server: uvicorn.Server, listener: object) -> None:
    await server.serve(sockets=[listener])

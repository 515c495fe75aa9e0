"""Two people switch between targets and click while weights change: every answer is of the right weights.

An engine is served with three targets of three weights versions each. Two clients choose a target at random,
click at once and reset; one of them also rolls a target back to another version now and then, which reaches
every open case at once. Each answer is compared voxel by voxel with what the (target, version) that it must
have used answers alone.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from engine_support import ANNOTATOR, BETTER, OWNER, Running, an_image, make_campaign, serving

from clopa_annotator.client.calls import Call
from clopa_annotator.client.http_client import HttpEngineClient
from clopa_annotator.testing.random_model import write_random_model
from clopa_annotator.types import Mask, PointPrompt, Slot, Targets

TARGETS = Targets.named(["liver", "kidney", "spleen"])
SHAPE = (24, 26, 22)
CLICKS = (PointPrompt((12, 14, 10)), PointPrompt((5, 6, 8)))
VERSIONS = 2
T = TypeVar("T")

Name = tuple[str, int, int]
"""A target's key, a version, which click."""


def wait_for(client: HttpEngineClient, call: Call[T], seconds: float = 300.0) -> T:
    """The call's result, or its error raised."""
    results: list[T] = []
    errors: list[Exception] = []
    call.then(results.append, errors.append)
    end = time.monotonic() + seconds
    while not (results or errors):
        client.poll(0.01)
        if time.monotonic() > end:
            raise TimeoutError("the engine did not answer in time")
    if errors:
        raise errors[0]
    return results[0]


@dataclass
class History:
    """Which version of a target is in use: those before ``settled`` certainly are not any more."""

    versions: list[int] = field(default_factory=lambda: [VERSIONS])
    settled: int = 0


@dataclass
class Race:
    """What is known while it runs.

    Attributes:
        pure: the mask of each (target, version, click).
        histories: of the versions in use, by target.
        wrong: sentences about answers that were not of the right weights.
        checked: number of answers that were compared.
    """

    running: Running
    pure: dict[Name, Mask]
    histories: dict[str, History] = field(default_factory=lambda: {t.key: History() for t in TARGETS})
    wrong: list[str] = field(default_factory=list)
    checked: int = 0
    rolled_back: int = 0


def add_versions(running: Running) -> dict[Name, Mask]:
    """Two versions of each target, and what each of them and the base answer to each click."""
    campaign = running.engine.campaign
    for place, target in enumerate(TARGETS):
        registry = campaign.line(target.key).registry
        for number in range(1, VERSIONS + 1):
            factor = 1 + 0.25 * (place + 1) * (1 if number == 1 else -0.6)
            tensors = {n: p * factor for n, p in campaign.model.base_state().items() if "norm" in n}
            made = registry.add_tensors(tensors, parent=0, parameter_group="in")
            registry.promote(made.number, BETTER)
    return {
        (target.key, version, click): alone(running, target.key, version, click)
        for target in TARGETS
        for version in range(VERSIONS + 1)
        for click in range(len(CLICKS))
    }


def alone(running: Running, key: str, version: int, click: int) -> Mask:
    """The mask that weights answer to one click when nobody else is there."""

    def work() -> Mask:
        running.engine.campaign.line(key).put_in(version)
        session = running.engine.campaign.new_session()
        session.set_image(an_image(0, SHAPE))
        return session.add_prompt(CLICKS[click]).mask.copy()

    return running.engine.prediction.predict(None, work)


def switch_and_click(
    race: Race, client: HttpEngineClient, rng: np.random.Generator, may_roll_back: bool
) -> None:
    """One switch, one click that follows at once, and the comparison."""
    key = TARGETS[int(rng.integers(len(TARGETS)))].key
    history, click = race.histories[key], int(rng.integers(len(CLICKS)))
    if may_roll_back and rng.random() < 0.2:
        version = int(rng.integers(VERSIONS + 1))
        history.versions.append(version)
        wait_for(client, client.roll_back(version, key))
        history.settled = len(history.versions) - 1
        race.rolled_back += 1
    since = history.settled
    chosen, answered = client.choose(Slot(key)), client.add_prompts([CLICKS[click]])
    wait_for(client, chosen)
    proposal = wait_for(client, answered).proposal
    mask, version = proposal.mask.copy(), proposal.weights_version
    possible = set(history.versions[since:])
    race.checked += 1
    if version not in possible or not np.array_equal(mask, race.pure[key, version, click]):
        of = [name for name, pure in race.pure.items() if np.array_equal(pure, mask)]
        race.wrong.append(f"{key!r} of {sorted(possible)} answered as version {version}; the mask is of {of}")
    wait_for(client, client.reset())


def run(folder: Path, switches: int, seed: int = 0) -> Race:
    """Run the race with two clients; `Race.wrong` says what was not as it must be."""
    torch.set_num_threads(1)
    model = write_random_model(folder / "model", patch_size_kji=(52, 52, 52), features=(4, 8, 16))
    with serving(make_campaign(folder / "campaign", model, targets=TARGETS)) as running:
        race = Race(running, add_versions(running))
        errors: list[Exception] = []

        def take_part(token: str, case: str, number: int) -> None:
            client = HttpEngineClient(running.url, token, folder / "kept" / case)
            rng = np.random.default_rng([seed, number])
            try:
                wait_for(client, client.open_case(case, an_image(0, SHAPE)))
                for _ in range(switches // 2):
                    switch_and_click(race, client, rng, may_roll_back=token == OWNER)
            except Exception as error:  # noqa: BLE001 - it is reported by whoever waits for the thread
                errors.append(error)
            finally:
                client.close()

        threads = [
            threading.Thread(target=take_part, args=(token, case, number))
            for number, (token, case) in enumerate(((OWNER, "case 1"), (ANNOTATOR, "case 2")))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return race

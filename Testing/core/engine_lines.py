"""A served engine, a line to it for each of three people, and what they do on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from engine_support import ANNOTATOR, OTHER, OWNER, Running, a_model, an_image, make_campaign, serving

from clopa_annotator.client.transport import Transport
from clopa_annotator.client.undelivered import confirmation_message
from clopa_annotator.types import Confirmation, PointPrompt
from clopa_annotator.wire.session_messages import geometry_to_wire

CLICK = PointPrompt((15, 18, 14))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def running(model: Path, tmp_path: Path) -> Iterator[Running]:
    with serving(make_campaign(tmp_path / "campaign", model)) as running:
        yield running


@pytest.fixture
def lines(running: Running) -> Iterator[dict[str, Transport]]:
    lines = {
        name: Transport(running.url, token)
        for name, token in (("Ada", OWNER), ("Bob", ANNOTATOR), ("Eve", OTHER))
    }
    yield lines
    for line in lines.values():
        line.close()


def add_case(line: Transport, case_id: str, seed: int = 0) -> None:
    image = an_image(seed)
    line.exchange(
        "cases/add",
        {"case_id": case_id, "geometry": geometry_to_wire(image.geometry)},
        {"image": image.voxels},
    )


def confirm(
    line: Transport, case_id: str, name: str, value: int = 1, based_on: int | None = 0
) -> dict[str, object]:
    mask = np.zeros(an_image().voxels.shape, np.uint8)
    mask[5:9, 5:9, 5:9] = value
    message = confirmation_message(Confirmation(name, case_id, mask), based_on)
    return line.send("confirm", message, "application/octet-stream")[0]["ref"]

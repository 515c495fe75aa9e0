"""A real engine with a small network fulfils the engine contract; its remote session the session contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engine_contract import EngineContract
from engine_support import OWNER, Running, a_model, make_campaign, serving

from clopa_annotator.engine.client import HttpEngineClient
from clopa_annotator.engine.protocol import EngineClient


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_model(tmp_path_factory.mktemp("model"))


class TestEngineProcess(EngineContract):
    @pytest.fixture
    def running(self, model: Path, tmp_path: Path) -> Iterator[Running]:
        with serving(make_campaign(tmp_path / "campaign", model)) as running:
            yield running

    @pytest.fixture
    def make_client(self, running: Running, tmp_path: Path) -> Callable[[], HttpEngineClient]:
        return lambda: HttpEngineClient(running.url, OWNER, tmp_path / "spool")

    def test_it_is_an_engine_client(self, client) -> None:
        assert isinstance(client, EngineClient)

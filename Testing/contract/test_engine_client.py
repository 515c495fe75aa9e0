"""A real engine with a small network fulfils the engine contract; its remote session the session contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from case_order_contract import CaseOrderContract
from engine_contract import EngineContract, wait_for
from engine_support import OTHER, OWNER, REVIEWER, Running, a_model, make_campaign, serving
from review_contract import ReviewContract
from session_contract import SessionContract
from session_examples import CENTRE, an_image, box_contains_all_changes
from shared_case_contract import SharedCaseContract
from targets_contract import TARGETS, TargetsContract
from transfer_contract import TransferContract

from clopa_annotator.campaign.engine import EngineSettings
from clopa_annotator.case_order import CaseSettings
from clopa_annotator.client.engine_client import EngineClient
from clopa_annotator.client.http_client import HttpEngineClient
from clopa_annotator.client.remote_session import RemoteSession
from clopa_annotator.client.transport import Transport
from clopa_annotator.errors import ConfigError, EngineFull, NotPermitted, SessionExpired
from clopa_annotator.types import PointPrompt


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_model(tmp_path_factory.mktemp("model"))


class TestEngineProcess(EngineContract, CaseOrderContract, TransferContract):
    @pytest.fixture
    def running(self, model: Path, tmp_path: Path) -> Iterator[Running]:
        settings = EngineSettings(export_anywhere=True)
        with serving(make_campaign(tmp_path / "campaign", model), settings) as running:
            yield running

    @pytest.fixture
    def make_client(self, running: Running, tmp_path: Path) -> Callable[[], HttpEngineClient]:
        return lambda: HttpEngineClient(running.url, OWNER, tmp_path / "spool")

    def test_it_is_an_engine_client(self, client) -> None:
        assert isinstance(client, EngineClient)


class TestEngineProcessWithTargets(TargetsContract, SharedCaseContract, ReviewContract):
    @pytest.fixture
    def running(self, model: Path, tmp_path: Path) -> Iterator[Running]:
        settings = EngineSettings(export_anywhere=True)
        with serving(make_campaign(tmp_path / "campaign", model, targets=TARGETS), settings) as running:
            yield running

    @pytest.fixture
    def make_target_client(self, running: Running, tmp_path: Path) -> Callable[[str], HttpEngineClient]:
        tokens = {"Ada": OWNER, "Bob": REVIEWER}
        return lambda person: HttpEngineClient(running.url, tokens[person], tmp_path / "spool" / person)

    def test_only_the_owner_says_how_cases_come(self, make_target_client) -> None:
        bob = make_target_client("Bob")
        with pytest.raises(NotPermitted):
            wait_for(bob, bob.set_case_settings(CaseSettings("random")))
        assert wait_for(bob, bob.connect()).cases.order == "added"

    def test_an_order_that_does_not_exist_is_refused(self, make_target_client, running: Running) -> None:
        ada = make_target_client("Ada")
        wait_for(ada, ada.connect())
        for asked in ({"order": "best"}, {"without_suggestion": 2}, {"order": ["added"]}, "random", None):
            with pytest.raises(ConfigError):
                ada._engine._transport.exchange("cases/settings", {"settings": asked})


@pytest.fixture(scope="module")
def shared(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = EngineSettings(max_sessions=3)
    with serving(make_campaign(tmp_path_factory.mktemp("c") / "campaign", model), settings) as running:
        yield running


class TestRemoteSession(SessionContract):
    @pytest.fixture
    def session(self, shared: Running) -> Iterator[RemoteSession]:
        line = Transport(shared.url, OWNER)
        session = RemoteSession(line)
        yield session
        session.close()
        line.close()

    @pytest.fixture(autouse=True)
    def network(self, shared: Running) -> None:
        self.network = shared.engine.campaign.model.network

    def fail_next_prediction(self, session: RemoteSession) -> None:
        def answer_nan(module: object, inputs: object, output: torch.Tensor) -> torch.Tensor:
            hook.remove()
            return output * float("nan")

        hook = self.network.register_forward_hook(answer_nan)

    def test_it_goes_on_after_the_engine_lost_it(self, opened: RemoteSession, shared: Running) -> None:
        first = opened.add_prompt(PointPrompt(CENTRE))
        second = opened.add_prompts((PointPrompt((12, 15, 11)), PointPrompt((3, 3, 3), False)))
        third = opened.add_prompt(PointPrompt((14, 15, 11)))
        opened.undo()
        shared.engine.sessions.close(opened._key, "Ada")
        again = opened.redo()
        assert np.array_equal(again.mask, third.mask)
        assert box_contains_all_changes(second.mask, again)
        assert np.array_equal(opened.undo().mask, second.mask)
        assert np.array_equal(opened.undo().mask, first.mask)

    def test_a_repeated_request_is_carried_out_once(self, opened: RemoteSession, shared: Running) -> None:
        line = opened._line
        send = line.send

        def twice(*message: object) -> object:
            send(*message)
            return send(*message)

        line.send = twice
        opened.add_prompt(PointPrompt(CENTRE))
        line.send = send
        assert not opened.undo().mask.any()
        assert not opened.can_undo, "one prompt, one step"

    def test_a_strangers_session_cannot_be_used(self, opened: RemoteSession, shared: Running) -> None:
        stranger = Transport(shared.url, OTHER)
        with pytest.raises(SessionExpired):
            stranger.exchange("session/undo", {"session": opened._key, "request": "x", "have": 0})
        stranger.close()
        opened.add_prompt(PointPrompt(CENTRE))

    def test_a_full_engine_says_so(self, opened: RemoteSession, shared: Running) -> None:
        line = Transport(shared.url, OWNER)
        others = [RemoteSession(line) for _ in range(3)]
        with pytest.raises(EngineFull, match="All 3 places"):
            for other in others:
                other.set_image(an_image())
        for other in others:
            other.close()
        line.close()

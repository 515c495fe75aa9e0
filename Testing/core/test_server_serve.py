"""The engine as a process: a campaign that learns, a kill, a restart, an end."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from engine_process import EngineProcess
from engine_support import a_model, an_image, make_campaign

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.client.http_client import HttpEngineClient
from clopa_annotator.errors import CampaignLocked, ConfigError, EngineError, EngineUnreachable, WrongToken
from clopa_annotator.server.serve import is_loopback, run_engine, tls_from
from clopa_annotator.training.signals import TRAINER, read_process
from clopa_annotator.types import Confirmation, PointPrompt

CLICK = PointPrompt((15, 18, 14))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def campaign(model: Path, tmp_path: Path) -> Path:
    return make_campaign(tmp_path / "Kampagne Ä", model)


@pytest.fixture
def engine(campaign: Path) -> Iterator[EngineProcess]:
    engine = EngineProcess(campaign).start()
    yield engine
    if engine.process.poll() is None:
        engine.kill()


@pytest.fixture(scope="module")
def idle_engine(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """One engine for the tests that do not change it; starting one takes seconds."""
    engine = EngineProcess(make_campaign(tmp_path_factory.mktemp("idle") / "campaign", model)).start()
    yield engine
    if engine.process.poll() is None:
        engine.kill()


class Annotator:
    """A client whose calls block, for tests."""

    def __init__(self, url: str, token: str, spool: Path) -> None:
        self.client = HttpEngineClient(url, token, spool)
        self.events: list[str] = []
        self.client.listen(lambda event: self.events.append(event.name))

    def ask(self, call: object, seconds: float = 240.0) -> object:
        box: dict[str, object] = {}
        call.then(lambda r: box.update(result=r), lambda e: box.update(error=e))
        self.until(lambda: box, seconds)
        if "error" in box:
            raise box["error"]
        return box["result"]

    def until(self, condition: Callable[[], object], seconds: float = 240.0) -> None:
        waited = 0.0
        while not condition():
            self.client.poll(0.05)
            waited += 0.05
            assert waited < seconds * 20, "the engine did not get there"
            if waited > seconds and self.client.pending == 0:
                pytest.fail("the engine did not get there in time")

    def confirm(self, number: int) -> object:
        name = f"case {number}"
        opened = self.ask(self.client.open_case(name, an_image(number)))
        answer = self.ask(self.client.add_prompts([CLICK]))
        mask = answer.proposal.mask.copy()
        confirmation = Confirmation(
            f"id-{number}", name, mask, weights_version=answer.proposal.weights_version
        )
        assert opened.answer.proposal.weights_version <= answer.proposal.weights_version
        return self.ask(self.client.confirm(confirmation)), answer


def pure_mask(campaign: Path, version: int, number: int) -> np.ndarray:
    with Campaign.open(campaign, device="cpu", writer=False) as opened:
        with opened.line().using(version):
            session = opened.new_session()
            session.set_image(an_image(number))
            return session.add_prompt(CLICK).mask


def test_five_cases_train_and_the_next_case_uses_what_was_learned(
    engine: EngineProcess, campaign: Path, tmp_path: Path
) -> None:
    ada = Annotator(engine.url, engine.token, tmp_path / "spool")
    info = ada.ask(ada.client.connect())
    assert info.campaign == "Test campaign" and info.is_owner and info.annotator == "owner"
    for number in range(5):
        ref, answer = ada.confirm(number)
        assert answer.proposal.weights_version == 0
        assert ref.case_version == 1
    ada.until(lambda: "promoted" in ada.events)
    state = ada.ask(ada.client.learning())
    assert state.phase == "promoted" and "promoted" in state.sentence
    _, answer = ada.confirm(5)
    assert answer.proposal.weights_version == 1
    ada.until(lambda: "swapped" in ada.events)
    (row,) = ada.ask(ada.client.episodes())
    assert (row.train, row.val, row.promoted, row.version) == (4, 1, True, 1)
    ada.ask(ada.client.roll_back(0))
    _, rolled = ada.confirm(6)
    assert rolled.proposal.weights_version == 0
    ada.client.close()
    assert engine.close_stdin() == 0
    np.testing.assert_array_equal(answer.proposal.mask, pure_mask(campaign, 1, 5))
    np.testing.assert_array_equal(rolled.proposal.mask, pure_mask(campaign, 0, 6))
    with CampaignStore.open(campaign) as store:
        assert [v.weights_version for v in store.confirmed_versions()] == [0, 0, 0, 0, 0, 1, 0]
        assert {v.annotator for v in store.confirmed_versions()} == {"owner"}
    log = (campaign / "logs" / "engine.log").read_text()
    assert engine.token not in log


def test_a_killed_engine_loses_nothing_and_resumes_its_episode(campaign: Path, tmp_path: Path) -> None:
    engine = EngineProcess(campaign, episode_s=8.0).start()
    ada = Annotator(engine.url, engine.token, tmp_path / "spool")
    for number in range(5):
        ada.confirm(number)
    ada.until(lambda: "episode_progress" in ada.events)
    job = campaign / "episodes" / "0001"
    trainer = read_process(job / TRAINER)
    engine.kill()
    mask = np.ones(an_image().voxels.shape, np.uint8)
    with pytest.raises(EngineUnreachable, match="kept on this computer"):
        ada.ask(ada.client.confirm(Confirmation("late", "case 0", mask)))
    engine.start()
    ada.until(lambda: "connection" in ada.events and ada.events.count("confirmed") == 6)
    ada.until(lambda: "promoted" in ada.events)
    ada.client.close()
    assert engine.close_stdin() == 0
    assert not trainer.alive
    with CampaignStore.open(campaign) as store:
        assert len(store.confirmed()) == 5
        assert len(store.versions("case 0")) == 2
        assert store.verify().ok
    assert not list((tmp_path / "spool").rglob("*.confirmation"))


def test_two_engines_never_share_a_campaign(idle_engine: EngineProcess) -> None:
    with pytest.raises(CampaignLocked):
        run_engine(idle_engine.campaign, device="cpu")


def test_a_wrong_token_is_told_in_words(idle_engine: EngineProcess, tmp_path: Path) -> None:
    eve = Annotator(idle_engine.url, "x" * 40, tmp_path / "spool")
    with pytest.raises(WrongToken, match="does not accept"):
        eve.ask(eve.client.connect())
    eve.client.close()


def test_a_taken_or_impossible_port_is_told_in_words(campaign: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(EngineError, match="cannot be used"):
            run_engine(campaign, port=taken.getsockname()[1])
    with pytest.raises(ConfigError, match="no port"):
        run_engine(campaign, port=70_000)


def test_tls_needs_certificate_and_key(tmp_path: Path) -> None:
    pem = tmp_path / "a.pem"
    pem.touch()
    assert tls_from(None, None) is None
    with pytest.raises(ConfigError, match="are not a certificate and its key"):
        tls_from(pem, pem)
    for certificate, key in ((pem, None), (None, pem), (pem, tmp_path / "missing.pem")):
        with pytest.raises(ConfigError, match="TLS needs"):
            tls_from(certificate, key)


def test_loopback_is_known_from_the_rest() -> None:
    assert [is_loopback(h) for h in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")] == [
        True
    ] * 3 + [False] * 2


@pytest.mark.skipif(os.name != "posix", reason="mode bits exist on POSIX only")
def test_the_token_file_is_private(idle_engine: EngineProcess) -> None:
    assert (idle_engine.campaign / "tokens.json").stat().st_mode & 0o077 == 0


def test_the_engine_ends_with_the_program_that_started_it(idle_engine: EngineProcess) -> None:
    process = psutil.Process(idle_engine.process.pid)
    assert idle_engine.close_stdin() == 0
    assert not process.is_running()

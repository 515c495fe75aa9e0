"""An engine that is asked to end does so promptly, whatever it is doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from engine_process import SLOW, EngineProcess
from engine_support import a_model, an_image, confirm_three_cases, make_campaign

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.client.remote_session import RemoteSession
from clopa_annotator.client.transport import Transport, TransportSettings
from clopa_annotator.errors import ClopaError
from clopa_annotator.server.shutdown import STACKS
from clopa_annotator.training.signals import TRAINER, read_process
from clopa_annotator.types import PointPrompt

CLICK = PointPrompt((15, 18, 14))
PROGRAM = """
import ctypes, sys, threading, time
from pathlib import Path
from clopa_annotator.server.shutdown import Shutdown

ending = Shutdown(lambda: None, Path(sys.argv[1]), patience_s=float(sys.argv[2]), stuck_s=1.0)
ending.begin("a test")
ending.begin("again")
time.sleep(0.3)
if sys.argv[3] == "holding the lock":
    ctypes.PyDLL(None).sleep(60)
elif sys.argv[3] == "in time":
    ending.done()
    time.sleep(2.0)
    raise SystemExit(5)
else:
    time.sleep(60)
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    """An engine with three confirmed cases, and episodes that take two minutes."""
    folder = make_campaign(tmp_path / "campaign", a_model(tmp_path / "model"))
    with Campaign.open(folder, device="cpu") as campaign:
        confirm_three_cases(campaign)
    engine = EngineProcess(folder, episode_s=120.0).start()
    yield engine
    if engine.process.poll() is None:
        engine.kill()


def end(tmp_path: Path, patience_s: float, what: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(patience_s), what]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def test_a_process_that_goes_on_computing_is_left(tmp_path: Path) -> None:
    assert end(tmp_path, 0.2, "computing").returncode == 0


def test_a_process_that_is_ready_in_time_ends_by_itself(tmp_path: Path) -> None:
    assert end(tmp_path, 0.5, "in time").returncode == 5
    assert not (tmp_path / STACKS).exists(), "nothing was stuck"


@pytest.mark.skipif(os.name != "posix", reason="the library call that holds the lock is POSIX")
def test_even_a_held_interpreter_lock_does_not_keep_a_process(tmp_path: Path) -> None:
    ended = end(tmp_path, 30.0, "holding the lock")
    assert ended.returncode == 1
    assert "Timeout" in (tmp_path / STACKS).read_text()


def until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


def click_in_vain(session: RemoteSession) -> None:
    with suppress(ClopaError):
        session.add_prompt(CLICK)


@pytest.mark.parametrize("way", ["standard input", "signal"])
def test_an_engine_amid_training_and_a_prediction_ends_and_leaves_no_trainer(
    engine: EngineProcess, way: str
) -> None:
    if way == "signal" and os.name != "posix":
        pytest.skip("SIGTERM is POSIX")
    line = Transport(engine.url, engine.token, TransportSettings(patience_s=0.0))
    line.exchange("episodes/start", {})
    job = engine.campaign / "episodes" / "0001"
    until(lambda: read_process(job / TRAINER))
    trainer = read_process(job / TRAINER)
    session = RemoteSession(line)
    session.open_case("case 0", an_image().voxels.shape)
    (engine.campaign.parent / SLOW).touch()
    clicking = threading.Thread(target=click_in_vain, args=(session,), daemon=True)
    clicking.start()
    time.sleep(1.0)
    began = time.monotonic()
    if way == "signal":
        engine.process.send_signal(signal.SIGTERM)
        code = engine.process.wait(50)
    else:
        code = engine.close_stdin()
    took = time.monotonic() - began
    clicking.join(30)
    line.close()
    assert code == 0
    assert took < 40, "a prediction of a minute was waited for"
    assert not trainer.alive
    assert not (job / "result.json").exists()
    assert "without waiting" in (engine.campaign / "logs" / "engine.log").read_text()

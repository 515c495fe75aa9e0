"""A click never fails for the trainer's sake: memory is made, and the same answer comes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import supervised
import torch
from supervised import Recorder, steps, wait_for

from clopa_annotator.campaign.prediction import PredictionThread
from clopa_annotator.errors import DeviceWanted, PredictionFailed
from clopa_annotator.geometry import Geometry
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.model import load_model
from clopa_annotator.testing.random_model import write_random_model
from clopa_annotator.training.memory_room import TRIES, with_room
from clopa_annotator.training.signals import RELEASED, YieldFlag
from clopa_annotator.training.supervisor import Supervisor
from clopa_annotator.training.trainer_process import Leash
from clopa_annotator.types import Image, PointPrompt

heard, job, supervise = supervised.heard, supervised.job, supervised.supervise
ERRORS = {
    "CUDA": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    "a CPU": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    "Python": MemoryError(),
}


class Short:
    """An allocator that is short until so many measures have been taken."""

    def __init__(self, missing: int, trainer: bool = True) -> None:
        self.missing, self.trainer, self.tries = missing, trainer, 0
        self.measures: list[int] = []

    def work(self, error: Exception = ERRORS["CUDA"]) -> str:
        self.tries += 1
        if self.tries <= self.missing:
            raise error
        return "proposal"

    def make_room(self, measure: int) -> bool:
        self.measures.append(measure)
        return self.trainer

    def click_begins(self) -> None:
        pass

    def click_ends(self) -> None:
        pass


@pytest.mark.parametrize("where", ERRORS)
@pytest.mark.parametrize(("missing", "measures"), [(0, []), (1, []), (2, [0]), (3, [0, 1])])
def test_each_measure_is_taken_only_when_the_one_before_was_not_enough(
    where: str, missing: int, measures: list[int]
) -> None:
    short = Short(missing)
    assert with_room(lambda: short.work(ERRORS[where]), short.make_room) == "proposal"
    assert short.measures == measures


def test_a_device_that_is_too_small_for_the_click_alone_is_told_as_before() -> None:
    short = Short(99)
    with pytest.raises(torch.OutOfMemoryError):
        with_room(short.work, short.make_room)
    assert short.tries == TRIES and short.measures == [0, 1]


def test_without_a_trainer_nothing_is_repeated_in_vain() -> None:
    short = Short(99, trainer=False)
    with pytest.raises(torch.OutOfMemoryError):
        with_room(short.work, short.make_room)
    assert short.tries == 2 and short.measures == [0]


def test_an_error_that_is_not_about_memory_is_neither_hidden_nor_repeated() -> None:
    short = Short(1)
    with pytest.raises(ZeroDivisionError):
        with_room(lambda: short.work(ZeroDivisionError()), short.make_room)
    assert short.tries == 1 and not short.measures


class Weights:
    current = 0

    def use(self, version: int) -> None:
        pass

    def held(self) -> nullcontext[None]:
        return nullcontext()


def test_a_click_that_ran_out_of_memory_twice_shows_what_it_would_have_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(write_random_model(tmp_path / "model", features=(4, 6, 8)), "cpu")
    rng = np.random.default_rng(0)
    image = Image(rng.normal(100, 20, (40, 40, 40)).astype(np.float32), Geometry((40, 40, 40)))
    prompt = PointPrompt((20, 20, 20))
    undisturbed = LocalSession(model)
    undisturbed.set_image(image)
    expected = undisturbed.add_prompt(prompt)

    session, forward, short = LocalSession(model), model.network.forward, Short(2)
    session.set_image(image)

    def network(x: torch.Tensor) -> torch.Tensor:
        short.work()
        return forward(x)

    monkeypatch.setattr(model.network, "forward", network)
    thread = PredictionThread(Weights(), short)
    shown = thread.predict(0, lambda: session.add_prompt(prompt))
    assert np.array_equal(shown.mask, expected.mask) and short.measures == [0]
    assert session.prompts == (prompt,) and session.can_undo
    short.missing = 99 + short.tries
    with pytest.raises(PredictionFailed, match="out of memory"):
        thread.predict(0, lambda: session.add_prompt(PointPrompt((10, 10, 10))))
    assert np.array_equal(session.proposal.mask, expected.mask)
    thread.shutdown()


def test_the_trainer_gives_its_memory_back_and_goes_on_after_the_click(
    supervise: Callable[..., Supervisor], job: Path, heard: Recorder
) -> None:
    supervisor = supervise(release_s=60.0)
    supervisor.run(job)
    wait_for(lambda: steps(job) > 1, "the trainer's first steps")
    supervisor.click_begins()
    assert supervisor.make_room(0)
    assert (job / RELEASED).exists()
    before = steps(job)
    supervisor.click_ends()
    wait_for(lambda: steps(job) > before, "the trainer to go on")
    assert not (job / RELEASED).exists() and len(list(job.glob("attempt*"))) == 1
    (job / "finish").touch()
    assert heard.ended.wait(60) and heard.ends[0][1] == "finished"


def test_a_trainer_that_does_not_give_anything_back_is_ended_and_resumed_without_counting_as_a_crash(
    supervise: Callable[..., Supervisor], job: Path, heard: Recorder
) -> None:
    supervisor = supervise("hang", release_s=0.1, restarts=0)
    supervisor.run(job)
    wait_for((job / "trainer.json").exists, "the trainer")
    supervisor.click_begins()
    assert supervisor.make_room(0)
    assert len(list(job.glob("attempt*"))) == 1 and not heard.ends
    supervisor.click_ends()
    wait_for(lambda: len(list(job.glob("attempt*"))) == 2, "the second start")
    assert not heard.ends


def test_there_is_no_room_to_be_made_where_nobody_trains(supervise: Callable[..., Supervisor]) -> None:
    assert not supervise().make_room(0) and not supervise().make_room(1)


def test_only_a_pass_that_can_be_repeated_is_dropped_for_a_click(job: Path) -> None:
    flag = YieldFlag(job)
    with Leash(job) as leash:
        flag.set(True, memory=True)
        with pytest.raises(DeviceWanted), leash.interruptible():
            leash.yield_to()
        flag.set(True)
        flag.set(False)
        leash.yield_to()
        assert not (job / RELEASED).exists()
    flag.close()


def test_a_trainer_that_is_waiting_already_hears_when_the_click_asks_for_memory(job: Path) -> None:
    flag = YieldFlag(job)
    with Leash(job) as leash:
        flag.set(True)
        later = threading.Timer(0.2, lambda: flag.set(True, memory=True))
        later.start()
        with pytest.raises(DeviceWanted), leash.interruptible():
            leash.yield_to()
        later.join()
        ending = threading.Timer(0.5, lambda: flag.set(False))
        ending.start()
        leash.stand_aside()
        assert not flag.memory_wanted
        ending.join()
    flag.close()


def test_the_flag_tells_time_from_memory_and_grows_stale(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flag = YieldFlag(job)
    for given, expected in (((False,), (0, 0)), ((True,), (1, 0)), ((True, True), (1, 1))):
        flag.set(*given)
        assert (flag.raised, flag.memory_wanted) == expected
    monkeypatch.setattr("clopa_annotator.training.signals.STALE_S", -1.0)
    assert not flag.raised and not flag.memory_wanted
    flag.close()

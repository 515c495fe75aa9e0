"""The prediction thread: training steps back for a click, and a stock session keeps its version."""

from __future__ import annotations

from concurrent.futures import CancelledError
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from clopa_annotator.campaign.prediction import LineVersion, PredictionThread
from clopa_annotator.errors import EngineUnreachable
from clopa_annotator.session.suggesting import PassGivenUp


class Weights:
    def __init__(self) -> None:
        self.used: list[LineVersion] = []
        self.newest = 0

    def current(self, line: str = "") -> int:
        return self.newest

    def use(self, wanted: LineVersion) -> None:
        self.used.append(wanted)

    def held(self) -> nullcontext[None]:
        return nullcontext()


class Signal:
    def __init__(self) -> None:
        self.level, self.highest = 0, 0

    def click_begins(self) -> None:
        self.level += 1
        self.highest = max(self.highest, self.level)

    def click_ends(self) -> None:
        self.level -= 1

    def make_room(self, measure: int) -> bool:
        return False


class Volume:
    """Stands for a preprocessed image tensor."""

    def __init__(self, good: bool = True) -> None:
        self._good = good

    def isfinite(self) -> np.ndarray:
        return np.array([self._good])


class StockSession:
    def __init__(self) -> None:
        self.preprocessed_image: Volume | None = Volume()


def test_training_steps_back_from_the_moment_a_click_waits_until_it_is_answered() -> None:
    weights, signal = Weights(), Signal()
    thread = PredictionThread(weights, signal)
    assert thread.predict(LineVersion("kidney", 3), lambda: signal.level) == 1
    with pytest.raises(ZeroDivisionError):
        thread.predict(None, lambda: 1 / 0)
    assert (signal.level, weights.used) == (0, [LineVersion("kidney", 3)])
    thread.shutdown()
    with pytest.raises((RuntimeError, CancelledError)):
        thread.predict(LineVersion("", 0), lambda: None)
    assert signal.level == 0


def test_spare_work_asks_nobody_to_step_back_and_is_given_up_between_two_layers_for_a_click() -> None:
    weights, signal = Weights(), Signal()
    thread = PredictionThread(weights, signal)
    layers = nn.Sequential(nn.Identity(), nn.Identity(), nn.Identity())
    seen: list[int] = []
    layers[1].register_forward_hook(lambda *_: seen.append(1))
    wanted = LineVersion("kidney", 2)
    assert thread.spare(wanted, lambda: layers(torch.ones(1)).item(), lambda: False) == 1.0
    assert (weights.used, signal.highest, seen) == ([wanted], 0, [1])
    with pytest.raises(PassGivenUp):  # the click comes while the second layer is computed
        thread.spare(wanted, lambda: layers(torch.ones(1)).item(), lambda: len(seen) > 1)
    assert seen == [1, 1] and thread.predict(wanted, lambda: layers(torch.ones(1)).item()) == 1.0
    with pytest.raises(PassGivenUp):
        thread.spare(wanted, lambda: seen.append(99), lambda: True)
    assert 99 not in seen
    thread.stop()
    with pytest.raises(EngineUnreachable):
        thread.spare(wanted, lambda: None, lambda: False)


def test_a_stock_session_keeps_its_version_until_its_next_image() -> None:
    weights, signal = Weights(), Signal()
    thread, session = PredictionThread(weights, signal), StockSession()
    for version in (0, 1, 1):
        thread.submit(lambda s: None, session).result()
        weights.newest = version + 1
    session.preprocessed_image = Volume()
    thread.submit(lambda s: None, session).result()
    assert weights.used == [LineVersion("", n) for n in (0, 0, 0, 2)]
    thread.shutdown()


@pytest.mark.parametrize("image", [None, Volume(good=False)])
def test_a_stock_session_without_a_usable_image_is_refused_in_words(image: Volume | None) -> None:
    thread, session = PredictionThread(Weights(), Signal()), StockSession()
    session.preprocessed_image = image
    with pytest.raises(ValueError, match="image"):
        thread.submit(lambda s: None, session).result()
    thread.shutdown()


def test_whatever_a_stock_session_raises_becomes_a_value_error() -> None:
    thread = PredictionThread(Weights(), Signal())
    with pytest.raises(ValueError, match="could not be carried out"):
        thread.submit(lambda s: {}["missing"], StockSession()).result()
    thread.shutdown()

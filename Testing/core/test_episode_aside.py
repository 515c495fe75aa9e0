"""The trainer steps aside for a click that is short of memory; its share of a device is planned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny_episode
import torch
from tiny_episode import QUICK, run, tiny_job

from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.hardware import fitting, memory
from clopa_annotator.episode.hardware.aside import moved_out
from clopa_annotator.episode.hardware.memory_plan import CONTEXT_BYTES, GIB
from clopa_annotator.episode.progress import read_progress
from clopa_annotator.errors import DeviceWanted, OutOfMemory
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.training.yielding import between_layers

loaded, one_thread = tiny_episode.loaded, tiny_episode.one_thread


class Clicks:
    """Wants the memory in the middle of some forward passes."""

    def __init__(self, at: tuple[int, ...]) -> None:
        self.at, self.passes, self.waits, self.open = at, 0, 0, False

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        self.open = True
        try:
            yield
        finally:
            self.open = False

    def before_layer(self, *_: object) -> None:
        self.passes += 1
        if self.passes in self.at:
            assert self.open
            raise DeviceWanted("A click needs the memory.")

    def stand_aside(self) -> None:
        assert not self.open
        self.waits += 1


def test_a_window_that_was_dropped_for_a_click_is_repeated_and_nothing_else_changes(
    tmp_path: Path, loaded: LoadedModel
) -> None:
    plain = run(tiny_job(tmp_path / "plain"), loaded)
    clicks = Clicks((2, 6, 13))
    hook = loaded.network.decoder.register_forward_pre_hook(clicks.before_layer)
    try:
        result = run(tiny_job(tmp_path / "job"), loaded, aside=clicks)
    finally:
        hook.remove()
    assert result.status == "finished" and clicks.waits == 3
    assert result.train_loss == plain.train_loss and result.val_score == plain.val_score


def test_a_pass_is_dropped_on_its_way_back_too(tmp_path: Path, loaded: LoadedModel) -> None:
    plain = run(tiny_job(tmp_path / "plain"), loaded)
    clicks, went_forward = Clicks(()), []

    def between() -> None:
        # The backward pass runs without gradients of its own, right after a forward pass that has them.
        if torch.is_grad_enabled():
            went_forward.append(True)
        elif went_forward and not clicks.waits:
            raise DeviceWanted("A click needs the memory.")

    with between_layers(between):
        result = run(tiny_job(tmp_path / "job"), loaded, aside=clicks)
    assert result.status == "finished" and clicks.waits == 1
    assert result.train_loss == plain.train_loss


def test_weights_and_moments_come_back_as_they_were() -> None:
    network = torch.nn.Linear(3, 2)
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    parameters, values = list(network.parameters()), [p.clone() for p in network.parameters()]
    with moved_out(network, optimiser):
        assert all(p.device.type == "cpu" for p in network.parameters())
    assert all(a is b for a, b in zip(parameters, network.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(values, network.parameters(), strict=True))


def test_right_after_a_click_nothing_is_given_up_for_good(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MOMENT_S", 0.0)
    saver = memory.MemorySaver(loaded.network, 2, False)
    saver.forgive_once = True
    assert "as before" in saver.save_more() and saver.micro_batch == 2
    assert "1 sample" in saver.save_more() and saver.micro_batch == 1


class Card:
    """A CUDA device that only has sizes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free_gib: float, total_gib: float) -> None:
        self.shares: list[float] = []
        sizes = (int(free_gib * GIB), int(total_gib * GIB))
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: sizes)
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 0)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
        monkeypatch.setattr(
            torch.cuda, "set_per_process_memory_fraction", lambda share, _: self.shares.append(share)
        )


def on_card(model: LoadedModel) -> LoadedModel:
    return replace(model, device=torch.device("cuda", 0), patch_size_kji=(64, 64, 64))


def test_the_trainers_share_is_capped_before_it_trains(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, settings = Card(monkeypatch, 10, 12), EpisodeSettings.paper()
    plan = fitting.plan_for(on_card(loaded), settings, 100)
    assert plan is not None and plan.full_patch
    changed = fitting.apply(plan, settings, torch.device("cuda", 0))
    assert changed == replace(settings, micro_batch=2)
    assert card.shares == [pytest.approx((plan.limit_bytes - CONTEXT_BYTES) / (12 * GIB))]
    assert 0.5 < card.shares[0] < 10 / 12


def test_a_full_card_ends_the_episode_in_words(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    Card(monkeypatch, 0.05, 12)
    with pytest.raises(OutOfMemory, match="too little"):
        fitting.plan_for(on_card(loaded), EpisodeSettings.paper(), 100)


def test_away_from_cuda_nothing_is_planned_and_nothing_is_capped(loaded: LoadedModel) -> None:
    settings = EpisodeSettings.paper()
    assert fitting.plan_for(loaded, settings, 100) is None
    assert fitting.plan_for(replace(loaded, device=torch.device("mps")), settings, 100) is None
    assert fitting.apply(None, settings, torch.device("mps")) is settings


def test_an_episode_trains_on_the_planned_patch_and_says_so(
    tmp_path: Path, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[tuple[int, ...]] = set()
    hook = loaded.network.register_forward_pre_hook(lambda _, x: seen.add(tuple(x[0].shape[2:])))
    small = SimpleNamespace(patch_kji=(8, 8, 8), sentence=lambda: "a smaller patch.")
    monkeypatch.setattr("clopa_annotator.episode.job.plan_for", lambda *_: small)
    monkeypatch.setattr("clopa_annotator.episode.job.apply", lambda _, settings, __: settings)
    try:
        result = run(tiny_job(tmp_path / "job", QUICK), loaded)
    finally:
        hook.remove()
    assert result.status == "finished" and seen == {(8, 8, 8)}
    assert "Memory: a smaller patch." in [p.note for p in read_progress(tmp_path / "job" / "progress.jsonl")]

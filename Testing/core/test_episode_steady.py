"""Options of an episode: anchor, averaging, replay, emphasis, patience. Off nothing changes; on they obey."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_episode
import torch
from tiny_episode import QUICK, delta_of, tiny_job, tiny_reader
from torch import nn

from clopa_annotator.delta import DeltaInfo, pack_delta
from clopa_annotator.episode.job import run_job
from clopa_annotator.episode.parameters import select
from clopa_annotator.episode.steady import Anchor, Average
from clopa_annotator.episode.window_sample import WindowSample
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.training.job_runner import generated_sample
from clopa_annotator.types import EpisodeResult

loaded, one_thread = tiny_episode.loaded, tiny_episode.one_thread


def run(folder: Path, model: LoadedModel, *, val: tuple[int, ...] = (), **changes: Any) -> EpisodeResult:
    parent = changes.pop("parent_delta", None)
    job = tiny_job(folder, replace(QUICK, **changes), val=val, parent_delta=parent)
    return run_job(job, tiny_reader(), model=model)


def distance(result: EpisodeResult, origin: dict[str, torch.Tensor]) -> float:
    return sum(float((v - origin[n]).square().sum()) for n, v in delta_of(result).items()) ** 0.5


def one_parameter(value: float) -> dict[str, nn.Parameter]:
    return {"w": nn.Parameter(torch.full((2,), value))}


def generated(seed: tuple[int, ...]) -> WindowSample:
    """A bright cube in a dark volume, of another shape than every case."""
    generator = torch.Generator().manual_seed(sum(seed))
    target = torch.zeros((16, 16, 16), dtype=torch.bool)
    target[4:10, 4:10, 4:10] = True
    return WindowSample(torch.randn((16, 16, 16), generator=generator) + 3 * target, target)


# --- by hand ------------------------------------------------------------------------------------------------


def test_an_anchor_takes_back_its_share_of_the_distance() -> None:
    parameters = one_parameter(3.0)
    anchor = Anchor(parameters, {"w": torch.ones(2)}, strength=10.0)
    anchor.pull(0.025)
    assert torch.equal(parameters["w"], torch.full((2,), 2.5))
    anchor.pull(7.0)
    assert torch.equal(parameters["w"], torch.ones(2)), "never past the anchor"


def test_an_anchor_keeps_the_values_that_it_was_given() -> None:
    parameters = one_parameter(3.0)
    anchor = Anchor(parameters, parameters, strength=1.0)
    with torch.no_grad():
        parameters["w"].add_(2)
    anchor.pull(0.5)
    assert torch.equal(parameters["w"], torch.full((2,), 4.0))


def test_an_average_is_the_plain_mean_at_first_and_then_fades() -> None:
    parameters = one_parameter(0.0)
    average = Average(parameters, 0.75, {})
    for n, value in enumerate((1.0, 2.0, 6.0, 7.0, 8.0), start=1):
        with torch.no_grad():
            parameters["w"].fill_(value)
        average.add(n)
        if n <= 4:
            assert average.values["w"][0] == pytest.approx((1.0, 1.5, 3.0, 4.0)[n - 1])
    assert average.values["w"][0] == pytest.approx(0.75 * 4 + 0.25 * 8)


def test_an_applied_average_gives_the_weights_back_also_after_an_error() -> None:
    parameters = one_parameter(1.0)
    average = Average(parameters, 0.5, {"w": torch.full((2,), 5.0)})
    with pytest.raises(RuntimeError, match="inside"), average.applied():
        assert torch.equal(parameters["w"], torch.full((2,), 5.0))
        raise RuntimeError("inside")
    assert torch.equal(parameters["w"], torch.ones(2))


# --- in an episode ------------------------------------------------------------------------------------------


def test_an_anchored_episode_ends_nearer_to_where_it_started(tmp_path: Path, loaded: LoadedModel) -> None:
    base = loaded.base_state()
    free, held = (run(tmp_path / f"a{n}", loaded, anchor=n) for n in (0.0, 40.0))
    assert 0 < distance(held, base) < 0.8 * distance(free, base)


def test_an_anchor_to_the_base_draws_a_parents_weights_home(tmp_path: Path, loaded: LoadedModel) -> None:
    base = loaded.base_state()
    parent = {n: base[n] + 1 for n in select(loaded.network, "cn")}
    path = tmp_path / "parent.safetensors"
    path.write_bytes(pack_delta(parent, DeltaInfo(loaded.model_hash, "CC0", "cn")))
    home, stay = (
        run(tmp_path / to, loaded, anchor=40.0, anchor_to=to, parent_delta=path) for to in ("base", "parent")
    )
    assert distance(home, base) < 0.5 * distance(stay, base)
    assert distance(stay, parent) < distance(home, parent)


def test_averaged_weights_lie_between_the_first_and_the_last(tmp_path: Path, loaded: LoadedModel) -> None:
    base = loaded.base_state()
    last = run(tmp_path / "last", loaded)
    mean = run(tmp_path / "mean", loaded, averaging=0.99)
    assert 0 < distance(mean, base) < distance(last, base)
    assert mean.train_loss == last.train_loss, "averaging does not change what is trained"


def test_emphasis_adds_the_loss_around_the_newest_prompts(tmp_path: Path, loaded: LoadedModel) -> None:
    plain, urged = (run(tmp_path / f"e{n}", loaded, emphasis=n, epochs=1, updates=1) for n in (0.0, 1.0))
    again = run(tmp_path / "again", loaded, emphasis=2.0, epochs=1, updates=1)
    once = urged.train_loss[0] - plain.train_loss[0]
    assert once > 0, "before the first step the weights are the same, so only the further loss differs"
    assert again.train_loss[0] - plain.train_loss[0] == pytest.approx(2 * once, rel=1e-4)


def test_an_episode_with_every_option_goes_on_to_the_same_bytes(tmp_path: Path, loaded: LoadedModel) -> None:
    settings = replace(QUICK, averaging=0.9, anchor=10.0, replay=0.5, emphasis=0.5, epochs=3)
    asked = 0

    def after_two_epochs() -> bool:
        nonlocal asked
        asked += 1
        return asked > 9

    job = {name: tiny_job(tmp_path / name, settings, val=()) for name in ("whole", "torn")}
    whole = run_job(job["whole"], tiny_reader(), model=loaded, replay=generated)
    torn = run_job(job["torn"], tiny_reader(), model=loaded, replay=generated, should_stop=after_two_epochs)
    assert torn.status == "cancelled" and 0 < torn.updates < whole.updates
    again = run_job(job["torn"], tiny_reader(), model=loaded, replay=generated)
    assert whole.delta_path and again.delta_path
    assert again.delta_path.read_bytes() == whole.delta_path.read_bytes()


def test_replay_gives_about_its_share_of_generated_samples(tmp_path: Path, loaded: LoadedModel) -> None:
    seeds: list[tuple[int, ...]] = []

    def counted(seed: tuple[int, ...]) -> WindowSample:
        seeds.append(seed)
        return generated(seed)

    job = tiny_job(tmp_path / "job", replace(QUICK, replay=0.5, updates=12), val=())
    ended = run_job(job, tiny_reader(), model=loaded, replay=counted)
    assert ended.status == "finished"
    assert 14 <= len(seeds) <= 34 and len(set(seeds)) == len(seeds), "24 of 48 expected, each another one"


def test_replay_without_a_generator_fails_in_words(tmp_path: Path, loaded: LoadedModel) -> None:
    job = tiny_job(tmp_path / "job", replace(QUICK, replay=0.5), val=())
    result = run_job(job, tiny_reader(), model=loaded)
    assert result.status == "failed" and "generated volumes" in result.reason


def test_the_injected_generator_gives_the_same_volume_for_the_same_seed() -> None:
    first, again, other = (generated_sample((3, n)) for n in (1, 1, 2))
    assert torch.equal(first.image, again.image) and first.target.any()
    assert first.image.shape != other.image.shape or not torch.equal(first.image, other.image)


def test_patience_ends_an_episode_that_no_longer_improves(tmp_path: Path, loaded: LoadedModel) -> None:
    hopeless = {"learning_rate": 1e-9, "epochs": 6, "val": (5,), "keep": "best"}
    assert run(tmp_path / "all", loaded, **hopeless).updates == 12
    early = run(tmp_path / "early", loaded, **hopeless, patience=2)
    assert (early.status, early.updates, early.best_epoch) == ("finished", 4, 0)
    assert len(early.val_score) == 3


def test_without_held_out_cases_patience_never_ends(tmp_path: Path, loaded: LoadedModel) -> None:
    assert run(tmp_path / "job", loaded, patience=1, epochs=3).updates == 6


def test_where_the_last_epoch_is_handed_over_patience_never_ends(tmp_path: Path, loaded: LoadedModel) -> None:
    assert run(tmp_path / "job", loaded, learning_rate=1e-9, epochs=3, patience=1, val=(5,)).updates == 6


def test_stepping_after_each_pass_steps_as_often_as_the_window_is_long(
    tmp_path: Path, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = 0
    step = torch.optim.Adam.step

    def counted(self: torch.optim.Adam) -> None:
        nonlocal taken
        taken += 1
        step(self)

    monkeypatch.setattr(torch.optim.Adam, "step", counted)
    counts = []
    for after in ("window", "pass"):
        taken = 0
        assert run(tmp_path / after, loaded, steps=3, step_after=after).updates == 4
        counts.append(taken)
    assert counts == [4, 12]


def test_a_window_of_one_pass_is_the_same_whenever_it_steps(tmp_path: Path, loaded: LoadedModel) -> None:
    window, each = (run(tmp_path / a, loaded, steps=1, step_after=a) for a in ("window", "pass"))
    assert all(torch.equal(v, delta_of(each)[n]) for n, v in delta_of(window).items())

"""Volumes made where the training is: equal in distribution; runs saved often and resumed elsewhere."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from test_pretrain import SETTINGS

from clopa_annotator.errors import ModelError
from clopa_annotator.pretrain import optimisation as training
from clopa_annotator.pretrain.appearance import bent_there
from clopa_annotator.pretrain.fields import DeviceRng, place_of
from clopa_annotator.pretrain.generator import GeneratorSettings, Volume, draw_volume, stream_on
from clopa_annotator.pretrain.state import STATE
from clopa_annotator.pretrain.train import run

HERE = torch.device("cpu")


def figures(volume: Volume) -> tuple[float, ...]:
    image, target = volume.image, volume.target
    return (
        float(image.numel()),
        float(target.float().mean()),
        float((image[1:] - image[:-1]).abs().mean()),
        float(image.max()),
        float(image.min()),
        float(image[target].mean()),
        float(image[target].std()),
    )


def test_volumes_of_a_device_are_distributed_like_those_of_the_cpu() -> None:
    settings = GeneratorSettings(side=24)
    cpu = np.array([figures(draw_volume((4, n), settings)) for n in range(60)])
    there = np.array([figures(draw_volume((5, n), settings, HERE)) for n in range(60)])
    for column in range(cpu.shape[1]):
        assert ks_2samp(cpu[:, column], there[:, column]).pvalue > 0.003, column


def test_a_volume_of_a_device_is_a_function_of_its_seed() -> None:
    settings = GeneratorSettings(side=24)
    first, again = (draw_volume((1, 5), settings, HERE) for _ in range(2))
    assert torch.equal(first.image, again.image) and torch.equal(first.target, again.target)
    volumes = stream_on(HERE, 3, settings, first=2)
    assert torch.equal(next(volumes).image, draw_volume((3, 2), settings, HERE).image)
    assert torch.equal(next(volumes).image, draw_volume((3, 3), settings, HERE).image)


def test_a_generator_says_where_its_fields_are_made() -> None:
    assert place_of(np.random.default_rng(0)) == HERE
    assert place_of(DeviceRng((0,), HERE)) is HERE


def test_bending_greys_is_numpys_interpolation() -> None:
    unit, heights = torch.linspace(0, 1, 101), np.array([0.0, 0.4, 0.3, 1.0])
    expected = np.interp(unit.numpy(), np.linspace(0, 1, 4), heights)
    assert np.allclose(bent_there(unit, heights).numpy(), expected, atol=1e-6)


def test_a_run_with_generation_where_it_trains_is_saved_often_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    keep = training.save

    def counting(state, out):
        saved.append(state.updates)
        keep(state, out)

    monkeypatch.setattr(training, "save", counting)
    settings = replace(SETTINGS, generate_on="device", save_s=1e-9)
    asked = chain([False], repeat(True))
    run(settings, tmp_path, "cpu", should_stop=lambda: next(asked))
    assert saved and (tmp_path / STATE).is_file()
    assert 0 < torch.load(tmp_path / STATE, weights_only=True)["updates"] < settings.updates
    folder = run(settings, tmp_path, "cpu")
    assert torch.load(tmp_path / STATE, weights_only=True)["updates"] >= settings.updates
    assert (folder / "plans.json").is_file()


def test_a_damaged_state_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / STATE).write_bytes(b"half of it")
    with pytest.raises(ModelError, match="is damaged"):
        run(SETTINGS, tmp_path, "cpu")


@pytest.mark.parametrize(("kind", "expected"), [("mps", None), ("cuda", torch.bfloat16)])
def test_each_device_trains_in_a_precision_that_it_has(
    monkeypatch: pytest.MonkeyPatch, kind: str, expected: torch.dtype | None
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert training._autocast(torch.device(kind)) is expected


def test_an_older_card_without_bf16_trains_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert training._autocast(torch.device("cuda")) is None

"""Clicks drawn on the device: uniform over the mask, the same rules as the paper's annotator."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from clopa_annotator.episode import loop
from clopa_annotator.episode.hardware.device_prompts import draw_both, look
from clopa_annotator.episode.loop import WindowSample, WindowSettings, run_window
from clopa_annotator.episode.prompt_canvas import EncodingRules
from clopa_annotator.episode.prompting import PointPrompter
from clopa_annotator.types import PointPrompt


def test_every_voxel_of_a_mask_is_as_likely_as_any_other() -> None:
    mask, nothing = torch.zeros(4, 5, 6, dtype=torch.bool), torch.zeros(4, 5, 6, dtype=torch.bool)
    mask[1, 2:4, 1:5] = True
    counts: Counter[tuple[int, int, int]] = Counter()
    rng = np.random.default_rng(0)
    for _ in range(400):
        ((prompt,),) = draw_both([(nothing, mask)], rng)
        assert prompt.positive
        counts[prompt.position_kji] += 1
    assert set(counts) == {tuple(int(x) for x in at) for at in mask.nonzero()}
    assert chisquare(list(counts.values())).pvalue > 0.001


def test_the_negative_click_comes_first_and_an_empty_mask_gives_none() -> None:
    some, nothing = torch.ones(2, 2, 2, dtype=torch.bool), torch.zeros(2, 2, 2, dtype=torch.bool)
    both, none = draw_both([(some, some), (nothing, nothing)], np.random.default_rng(0))
    assert [p.positive for p in both] == [False, True] and none == ()


@pytest.mark.parametrize("loss", [1.2345678, 0.0, float("inf"), float("nan")])
def test_a_look_brings_the_loss_to_the_bit_and_the_voxels_in_common_and_in_both(loss: float) -> None:
    a, b = torch.tensor([[[True, True, False]]]), torch.tensor([[[True, False, False]]])
    found = look(torch.tensor(loss), [(a, b), (b, ~a)], None)
    assert np.float32(found.loss).tobytes() == np.float32(loss).tobytes()
    assert found.overlaps == [(1, 3), (0, 2)] and found.clicks is None


def test_the_next_clicks_lie_in_what_is_wrong() -> None:
    previous, target = torch.zeros(3, 4, 5, dtype=torch.bool), torch.zeros(3, 4, 5, dtype=torch.bool)
    previous[0, 1, 2] = target[2, 3, 4] = True
    previous[1, 1, 1] = target[1, 1, 1] = True
    found = look(torch.tensor(0.0), [(previous, target), (target, target)], np.random.default_rng(0))
    assert found.clicks == [(PointPrompt((0, 1, 2), False), PointPrompt((2, 3, 4))), ()]


WAITS = ("tolist", "item", "__float__", "__int__", "__bool__", "cpu", "numpy")
"""What of a tensor brings its values to the CPU, and so waits for a device."""


def test_a_window_waits_for_the_device_once_per_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The masks lie on the CPU here; what the loop asks is the type of their device."""
    monkeypatch.setattr(loop, "_draws_there", lambda *_: True)
    rng = np.random.default_rng(1)
    image = torch.from_numpy(rng.standard_normal((16, 16, 16)).astype(np.float32))
    samples = [WindowSample(image, image > 1), WindowSample(image, image > 0.5)]
    network = torch.nn.Conv3d(8, 2, 3, padding=1)
    settings = WindowSettings(steps=4, rules=EncodingRules((16, 16, 16)), follow=False)
    waits = []
    with monkeypatch.context() as counting:
        for name in WAITS:
            original = getattr(torch.Tensor, name)

            def counted(tensor, *arguments, original=original, name=name):
                waits.append(name)
                return original(tensor, *arguments)

            counting.setattr(torch.Tensor, name, counted)
        result = run_window(network, samples, PointPrompter(), rng, settings, backward=True)
    assert len(result.losses) == 4 and network.weight.grad is not None
    assert waits == ["tolist"] * 5  # the first clicks, and a look after each step


def test_a_window_whose_samples_are_all_solved_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_draws_there", lambda *_: True)
    image = torch.randn(8, 8, 8)
    target = torch.zeros(8, 8, 8, dtype=torch.bool)
    network = torch.nn.Conv3d(8, 2, 1)
    torch.nn.init.zeros_(network.weight)
    torch.nn.init.zeros_(network.bias)  # the background everywhere
    settings = WindowSettings(steps=3, rules=EncodingRules((8, 8, 8)))
    rng = np.random.default_rng(0)
    result = run_window(
        network, [WindowSample(image, target)], PointPrompter(), rng, settings, backward=False
    )
    assert result.dice == ((1.0,),)


def test_the_cpu_keeps_its_own_way_of_drawing() -> None:
    sample = torch.zeros(4, 4, 4, dtype=torch.bool)
    assert not loop._draws_there(PointPrompter(), sample)
    assert loop._draws_there(PointPrompter(), sample.to("meta"))

"""Clicks drawn on the device: uniform over the mask, the same rules as the paper's annotator."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from clopa_annotator.episode import loop
from clopa_annotator.episode.hardware.device_prompts import click_both, overlaps
from clopa_annotator.episode.loop import WindowSample, WindowSettings, run_window
from clopa_annotator.episode.prompt_canvas import EncodingRules
from clopa_annotator.episode.prompting import PointPrompter


def test_every_voxel_of_a_mask_is_as_likely_as_any_other() -> None:
    mask, nothing = torch.zeros(4, 5, 6, dtype=torch.bool), torch.zeros(4, 5, 6, dtype=torch.bool)
    mask[1, 2:4, 1:5] = True
    counts: Counter[tuple[int, int, int]] = Counter()
    rng = np.random.default_rng(0)
    for _ in range(400):
        ((prompt,),) = click_both([nothing], [mask], rng)
        assert prompt.positive
        counts[prompt.position_kji] += 1
    assert set(counts) == {tuple(int(x) for x in at) for at in mask.nonzero()}
    assert chisquare(list(counts.values())).pvalue > 0.001


def test_the_negative_click_comes_first_and_an_empty_mask_gives_none() -> None:
    some, nothing = torch.ones(2, 2, 2, dtype=torch.bool), torch.zeros(2, 2, 2, dtype=torch.bool)
    both, none = click_both([some, nothing], [some, nothing], np.random.default_rng(0))
    assert [p.positive for p in both] == [False, True] and none == ()


def test_overlap_counts_common_and_all_voxels() -> None:
    a, b = torch.tensor([True, True, False]), torch.tensor([True, False, False])
    assert overlaps([(a, b), (b, ~a)]).tolist() == [[1, 3], [0, 2]]


def test_a_window_with_clicks_from_the_device_runs_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The masks lie on the CPU here; what the loop asks is the type of their device."""
    used = []

    def counted(*arguments):
        used.append(1)
        return click_both(*arguments)

    monkeypatch.setattr(loop, "click_both", counted)
    monkeypatch.setattr(loop, "_draws_there", lambda *_: True)
    rng = np.random.default_rng(1)
    image = torch.from_numpy(rng.standard_normal((16, 16, 16)).astype(np.float32))
    network = torch.nn.Conv3d(8, 2, 3, padding=1)
    result = run_window(
        network,
        [WindowSample(image, image > 1), WindowSample(image, image > 0.5)],
        PointPrompter(),
        rng,
        WindowSettings(steps=4, rules=EncodingRules((16, 16, 16))),
        backward=True,
    )
    assert len(result.losses) == 4 and len(used) == 3
    assert network.weight.grad is not None


def test_the_cpu_keeps_its_own_way_of_drawing() -> None:
    sample = torch.zeros(4, 4, 4, dtype=torch.bool)
    assert not loop._draws_there(PointPrompter(), sample)
    assert loop._draws_there(PointPrompter(), sample.to("meta"))

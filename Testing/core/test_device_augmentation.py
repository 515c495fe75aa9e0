"""Augmentation where the training is: batchgeneratorsv2's transforms, voxel for voxel and in distribution."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_episode
import torch
from batchgeneratorsv2.transforms.intensity.contrast import ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from scipy.stats import ks_2samp
from tiny_episode import QUICK, run, tiny_job
from torch import Tensor

from clopa_annotator.episode.augmentation import augment
from clopa_annotator.episode.hardware import device_augmentation as here
from clopa_annotator.session.model import LoadedModel

loaded, one_thread = tiny_episode.loaded, tiny_episode.one_thread
SHAPE = (20, 24, 22)


def a_sample() -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"))
    target = ((grid - 0.1) ** 2).sum(0) < 0.3
    image = rng.normal(0, 0.3, SHAPE) + 2 * target + grid[0]
    return torch.from_numpy(image.astype(np.float32)), torch.from_numpy(target)


def test_turning_and_scaling_is_theirs() -> None:
    image, target = a_sample()
    angles, scale = (0.2, -0.1, 0.15), 1.3
    theirs = SpatialTransform(
        SHAPE,
        0,
        False,
        p_rotation=1,
        rotation=lambda *a, dim, **k: angles[dim],
        p_scaling=1,
        scaling=scale,
        p_synchronize_scaling_across_axes=1,
        border_mode_seg="zeros",
    )(image=image[None].clone(), segmentation=target[None].to(torch.int16))
    new_image, new_target = here.turn(image, target, angles, scale)
    torch.testing.assert_close(new_image, theirs["image"][0], atol=1e-4, rtol=1e-4)
    assert int((new_target ^ (theirs["segmentation"][0] > 0)).sum()) <= 2


def test_each_intensity_transform_is_theirs() -> None:
    image, _ = a_sample()
    sigmas = (0.6, 0.9, 0.75)
    pairs = [
        (
            here.blurred(image, sigmas),
            GaussianBlurTransform(lambda _, dim: sigmas[dim - 1], p_per_channel=1),
        ),
        (here.with_contrast(image, 1.2), ContrastTransform(1.2, True, False, 1)),
        (here.coarse(image, 0.6), SimulateLowResolutionTransform(0.6, False, True, None, p_per_channel=1)),
        (here.with_gamma(image, 1.4), GammaTransform(1.4, 0, False, 1, 1)),
    ]
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs(image=image[None].clone())["image"][0], atol=2e-5, rtol=1e-4)


def figures(image: Tensor, target: Tensor) -> tuple[float, ...]:
    """What any of the transforms would change."""
    middle = target.nonzero().float().mean(0)
    steps = (image[1:] - image[:-1]).abs().mean()
    return (
        *(float(x) for x in (image.mean(), image.std(), image.max(), image.min(), steps)),
        float(target.float().mean()),
        float(middle[0]),
        float(middle[2]),
    )


@pytest.mark.parametrize("strength", [1.0, 3.0])
def test_the_distributions_are_equal(strength: float) -> None:
    image, target = a_sample()
    draws = 150
    theirs = np.array([figures(*augment(image, target, n, strength)) for n in range(draws)])
    ours = np.array([figures(*here.augment_here(image, target, n, strength)) for n in range(draws)])
    for column in range(theirs.shape[1]):
        assert ks_2samp(theirs[:, column], ours[:, column]).pvalue > 0.005, column


def test_other_ranges_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    image, target = a_sample()
    monkeypatch.setattr(here, "either_way", lambda rng, low, high: high)
    theirs = [figures(*augment(image, target, n, 3.0)) for n in range(150)]
    ours = [figures(*here.augment_here(image, target, n, 3.0)) for n in range(150)]
    lowest = min(ks_2samp(a, b).pvalue for a, b in zip(np.transpose(theirs), np.transpose(ours), strict=True))
    assert lowest < 0.005


def test_a_sample_is_a_function_of_its_seed_and_none_of_strength_zero() -> None:
    image, target = a_sample()
    first, again = (here.augment_here(image, target, 5, 3.0) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert here.augment_here(image, target, 5, 0.0)[0] is image
    assert not torch.equal(first[0], here.augment_here(image, target, 6, 3.0)[0])


def test_a_target_is_never_augmented_away() -> None:
    image, target = torch.randn(9, 40, 40), torch.zeros(9, 40, 40, dtype=torch.bool)
    target[0, 0, 0] = True
    assert all(bool(here.augment_here(image, target, n, 3.0)[1].any()) for n in range(40))


@pytest.mark.parametrize("centre", ["paper", "session"])
def test_an_episode_can_leave_augmentation_to_the_device(
    tmp_path: Path, loaded: LoadedModel, centre: str
) -> None:
    settings = replace(QUICK, augment_on="device", patch_centre=centre, augmentation=1.0)
    result = run(tiny_job(tmp_path / "job", settings), loaded)
    again = run(tiny_job(tmp_path / "again", settings), loaded)
    there = run(tiny_job(tmp_path / "there", replace(settings, augment_on="cpu")), loaded)
    assert result.status == "finished" and result.train_loss == again.train_loss
    assert result.val_score[0] == there.val_score[0], "validation is not augmented"
    assert result.train_loss != there.train_loss


def test_without_augmentation_both_ways_give_the_same_episode(tmp_path: Path, loaded: LoadedModel) -> None:
    settings = replace(QUICK, augmentation=0.0, patch_centre="paper")
    losses = [
        run(tiny_job(tmp_path / where, replace(settings, augment_on=where)), loaded).train_loss
        for where in ("cpu", "device")
    ]
    assert losses[0] == losses[1]

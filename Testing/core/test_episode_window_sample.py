"""A sample is an image with its target on one grid, and knows how much of a whole image it is."""

from __future__ import annotations

import pytest
import torch

from clopa_annotator.episode.augmentation import augment
from clopa_annotator.episode.hardware.device_augmentation import augment_here
from clopa_annotator.episode.sampling import Batch, Finish, Place, on_device
from clopa_annotator.episode.tour import Shown
from clopa_annotator.episode.window_sample import WindowSample, sample_of
from clopa_annotator.errors import GeometryError


def test_image_and_target_lie_on_one_grid() -> None:
    with pytest.raises(GeometryError, match="not on one grid"):
        WindowSample(torch.zeros(3, 3, 3), torch.zeros(3, 3, 4))


def test_what_is_done_to_a_sample_leaves_how_much_of_the_image_it_is() -> None:
    shown = Shown(((0, 12), (5, 25), (0, 16)), (12, 40, 16))
    target = torch.zeros(12, 20, 16, dtype=torch.bool)
    target[3:9, 5:15, 4:10] = True
    sample = WindowSample(torch.randn(12, 20, 16), target, shown)
    assert WindowSample(sample.image, target).shown is None
    batch = Batch(Place(1, 0), (sample, sample), (Finish(3, 1.0, None), None))
    assert [s.shown for s in on_device(batch, torch.device("cpu"))] == [shown, shown]


def test_masks_of_other_targets_go_with_the_image_and_leave_the_targets_own_change_as_it_is() -> None:
    """Both ways of augmenting turn, scale and flip them as the target; what happens to that is as without."""
    target, others = torch.zeros(16, 20, 18, dtype=torch.bool), torch.zeros(16, 20, 18, dtype=torch.bool)
    target[3:9, 5:15, 4:10] = True
    others[3:9, 5:15, 10:16] = True
    image = torch.randn(16, 20, 18)
    alone, beside = WindowSample(image, target), WindowSample(image, target, None, others)
    assert alone.masks is target and beside.masks.shape == (2, 16, 20, 18)
    for seed in range(12):
        for change in (augment, augment_here):
            one = sample_of(*change(image, alone.masks, seed, 1.0))
            two = sample_of(*change(image, beside.masks, seed, 1.0))
            assert torch.equal(one.image, two.image) and torch.equal(one.target, two.target)
            swapped = sample_of(*change(image, torch.stack((others, target)), seed, 1.0))
            assert two.others is not None and torch.equal(swapped.target, two.others)
            assert one.others is None


def test_a_cut_sample_keeps_its_others_in_place() -> None:
    target, others = torch.zeros(6, 6, 6, dtype=torch.bool), torch.zeros(6, 6, 6, dtype=torch.bool)
    others[4, 4, 4] = True
    cut = WindowSample(torch.ones(6, 6, 6), target, None, others).cut(((3, 9), (3, 9), (3, 9)))
    assert cut.others is not None and cut.others.nonzero().tolist() == [[1, 1, 1]]
    assert cut.image.sum() == 27 and not cut.target.any()

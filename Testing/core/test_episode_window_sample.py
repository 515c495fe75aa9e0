"""A sample is an image with its target on one grid, and knows how much of a whole image it is."""

from __future__ import annotations

import pytest
import torch

from clopa_annotator.episode.sampling import Batch, Finish, Place, on_device
from clopa_annotator.episode.tour import Shown
from clopa_annotator.episode.window_sample import WindowSample
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

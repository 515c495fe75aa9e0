"""Augmentation of training samples through batchgeneratorsv2.

The paper's list of transforms and probabilities; where it gives no range, nnU-Net's. Scaling draws enlarging
and shrinking equally often. Applied to the part of a patch that lies in the image, after normalisation and
before the zero padding, so that padding stays exactly zero as in the session.

The authors' program differs from their paper, because its table of transforms repeats three keys and a later
entry replaces an earlier one: the sign inversion stands where the brightness was, the gamma of the inverted
image is gone, and of three turns by right angles one is left. It also mirrors all axes or none, and scales
axes apart in 60 of 100 scalings. `augment` does so on request. Deviations that remain: the ranges of the
transforms are nnU-Net's, and a turn by a right angle that would change a sample's shape turns by two.

batchgeneratorsv2 draws from numpy's and torch's global generators. They are seeded for each sample and put
back afterwards, under a lock, so that a sample depends on its own seed and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from torch import Tensor

from clopa_annotator.geometry import Kji

Variant = Literal["paper", "code"]
_SMALLEST_SIDE = 8
"""Blurring and lower resolution need some voxels along each axis; thinner samples go without."""
_global_generators = threading.Lock()


def augment(
    image: Tensor, target: Tensor, seed: int, strength: float, variant: Variant = "paper"
) -> tuple[Tensor, Tensor]:
    """A random variant of a sample.

    Args:
        image: (k, j, i) float32, normalised.
        target: (k, j, i) bool; or (n, k, j, i), the target first and other masks that go with it.
        seed: decides everything, below 2**32.
        strength: factor on every probability; 0 returns the sample as it is.
        variant: "paper" as it is written, "code" as the authors' program does it.

    Returns:
        Image and target of the same shapes. The target is never augmented away: where turning and scaling
        would lose it all, the sample keeps its shape and only its intensities change.
    """
    if strength <= 0:
        return image, target
    k, j, i = image.shape
    masks = target if target.ndim == 4 else target[None]
    with _seeded(seed):
        data: dict[str, Any] = {"image": image[None].clone(), "segmentation": masks.to(torch.int16)}
        turned = _shape_transforms((k, j, i), strength, variant)(**data)
        if bool(masks[0].any()) and not bool((turned["segmentation"][0] > 0).any()):
            turned = {"image": image[None].clone(), "segmentation": masks}
        changed = turned["image"].contiguous()
        for transform in _intensity_transforms(strength, min(k, j, i) >= _SMALLEST_SIDE, variant):
            changed = transform(image=changed)["image"]
        mask = turned["segmentation"]
        if variant == "code":
            changed, mask = _as_in_the_code(changed, mask, strength)
        else:
            for axis in np.flatnonzero(np.random.random(3) < 0.5 * strength):
                changed, mask = changed.flip(int(axis) + 1), mask.flip(int(axis) + 1)
    kept = mask > 0 if target.ndim == 4 else mask[0] > 0
    return changed[0].contiguous(), kept.contiguous()


def _as_in_the_code(image: Tensor, mask: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Mirror all axes or none; turn by right angles between the first and the last axis."""
    if np.random.random() < 0.5 * strength:
        image, mask = image.flip(1, 2, 3), mask.flip(1, 2, 3)
    if np.random.random() < 0.5 * strength:
        quarters = int(np.random.randint(1, 4))
        if image.shape[1] != image.shape[3] and quarters % 2:
            quarters = 2
        image, mask = image.rot90(quarters, (1, 3)), mask.rot90(quarters, (1, 3))
    return image, mask


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with _global_generators:
        numpy_state, torch_state = np.random.get_state(), torch.random.get_rng_state()
        np.random.seed(seed)
        # Not torch.manual_seed: that would reseed the accelerators too, and they are in use elsewhere.
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            torch.random.set_rng_state(torch_state)


@lru_cache(maxsize=64)
def _shape_transforms(shape: Kji, strength: float, variant: Variant) -> SpatialTransform:
    return SpatialTransform(
        patch_size=shape,
        patch_center_dist_from_border=0,
        random_crop=False,
        p_rotation=0.2 * strength,
        rotation=(-np.pi / 12, np.pi / 12),
        p_scaling=0.3 * strength,
        scaling=BGContrast((0.5, 2.0)),
        p_synchronize_scaling_across_axes=1 if variant == "paper" else 0.4,
        border_mode_seg="zeros",
    )


@lru_cache(maxsize=4)
def _intensity_transforms(strength: float, thick: bool, variant: Variant) -> tuple[RandomTransform, ...]:
    quarter = BGContrast((0.75, 1.25))
    noise = GaussianNoiseTransform(noise_variance=(0, 0.1), p_per_channel=1, synchronize_channels=True)
    # benchmark=True would choose between two convolutions by the clock, and results would not repeat.
    blur = GaussianBlurTransform(blur_sigma=(0.5, 1.0), p_per_channel=1, benchmark=False)
    brightness = MultiplicativeBrightnessTransform(quarter, synchronize_channels=False, p_per_channel=1)
    contrast = ContrastTransform(quarter, preserve_range=True, synchronize_channels=False, p_per_channel=1)
    coarse = SimulateLowResolutionTransform(
        scale=(0.5, 1), synchronize_channels=False, synchronize_axes=True, ignore_axes=None, p_per_channel=1
    )
    gamma = GammaTransform(
        BGContrast((0.7, 1.5)),
        p_invert_image=0,
        synchronize_channels=False,
        p_per_channel=1,
        p_retain_stats=1,
    )
    sign = (_SignInversion(), 0.1)
    listed = (
        (noise, 0.15),
        (blur, 0.2 if thick else 0.0),
        (brightness, 0.15) if variant == "paper" else sign,
        (contrast, 0.15),
        (coarse, 0.1 if thick else 0.0),
        (gamma, 0.3),
        *((sign,) if variant == "paper" else ()),
    )
    return tuple(RandomTransform(t, apply_probability=p * strength) for t, p in listed)


class _SignInversion:
    """Bright becomes dark: zero, which is also the padding, stays zero."""

    def __call__(self, **data: Any) -> dict[str, Any]:
        return {**data, "image": -data["image"]}

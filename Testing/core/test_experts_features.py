"""Pooled features: frozen, deterministic, and of one length for every image."""

from __future__ import annotations

import numpy as np
import torch
from tiny_experts import a_case, a_unet
from tiny_online import SIDE

from clopa_annotator.experts.features import FrozenEncoder


def test_pooled_features_are_frozen_deterministic_and_tell_looks_apart() -> None:
    network = a_unet()
    base = {n: p.detach().clone() for n, p in network.named_parameters()}
    encoder = FrozenEncoder(network, base, (SIDE, SIDE, SIDE), torch.device("cpu"))
    image, _ = a_case(0)
    features = encoder(image.voxels)
    assert features.shape == (2 * (8 + 16),) and np.isfinite(features).all()
    with torch.no_grad():
        for p in network.parameters():
            p.add_(1)
    assert np.array_equal(encoder(image.voxels), features), "learning does not move the router's ground"
    rescaled = encoder(3 * image.voxels + 50)
    np.testing.assert_allclose(rescaled, features, rtol=1e-2, atol=1e-3)
    smooth = np.cumsum(np.cumsum(image.voxels, 0), 1)
    assert np.abs(encoder(smooth) - features).max() > 0.05


def test_a_large_image_is_scaled_down_to_one_patch_and_a_small_one_padded() -> None:
    network = a_unet()
    base = dict(network.named_parameters())
    encoder = FrozenEncoder(network, base, (SIDE, SIDE, SIDE), torch.device("cpu"))
    rng = np.random.default_rng(0)
    for shape in ((40, 10, 5), (7, 7, 7), (16, 33, 16)):
        assert np.isfinite(encoder(rng.normal(5, 1, shape))).all()

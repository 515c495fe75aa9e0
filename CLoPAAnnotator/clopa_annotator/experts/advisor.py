"""Library, frozen features and router together: which expert for this image?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import torch

from clopa_annotator.errors import ModelError
from clopa_annotator.experts.expert_settings import RouterSettings
from clopa_annotator.experts.features import FrozenEncoder
from clopa_annotator.experts.library import Expert, ExpertLibrary
from clopa_annotator.experts.router import Route
from clopa_annotator.geometry import Kji
from clopa_annotator.types import Image


class BaseModel(Protocol):
    """What is needed of a loaded model; `session.model.LoadedModel` has it."""

    network: torch.nn.Module
    model_hash: str
    patch_size_kji: Kji
    device: torch.device

    def base_state(self) -> Mapping[str, torch.Tensor]:
        """Value of every parameter as it was loaded."""
        ...


class ExpertAdvisor:
    """Proposes an expert of a library for a new image, and learns from each confirmed one.

    Args:
        library: experts for this base model.
        model: the live model; its base weights are copied, its live ones not used.
        settings: when an expert is proposed.

    Raises:
        ModelError: the library belongs to another base model.
    """

    def __init__(
        self, library: ExpertLibrary, model: BaseModel, settings: RouterSettings | None = None
    ) -> None:
        if library.model_hash != model.model_hash:
            raise ModelError("These experts were made for another base model; open the library that fits.")
        self.library = library
        self._encoder = FrozenEncoder(model.network, model.base_state(), model.patch_size_kji, model.device)
        self._router = library.router(self._encoder.dimension, settings)

    def propose(self, image: Image) -> Route:
        """The expert for an image, or none, with a confidence and the reason.

        Raises:
            ImageError: the image is constant, all zero or not finite.
        """
        return self._router.route(self._encoder(image.voxels))

    def learn(self, image: Image, expert_id: str) -> None:
        """Note that an image belongs to an expert, and keep that.

        Raises:
            ImageError: the image is constant, all zero or not finite.
            CacheError: the library cannot be written.
        """
        self._router.learn(self._encoder(image.voxels), expert_id)
        self.library.save_router(self._router)

    def add(
        self,
        name: str,
        delta: Mapping[str, torch.Tensor],
        images: Iterable[Image],
        *,
        licence: str,
        description: str = "",
        origin: str = "",
    ) -> Expert:
        """Add an expert together with the images that it was made on, so that it can be proposed.

        The images are looked at first: one that cannot be used leaves the library as it was.

        Args:
            name, delta, licence, description, origin: see `ExpertLibrary.add`.
            images: what the router learns to recognise; only their statistics are kept.

        Raises:
            ImageError: an image is constant, all zero or not finite.
            ConfigError, DeltaMismatch: no name, or an unusable delta.
            CacheError: the library cannot be written.
        """
        seen = [self._encoder(image.voxels) for image in images]
        expert = self.library.add(name, delta, licence=licence, description=description, origin=origin)
        for features in seen:
            self._router.learn(features, expert.expert_id)
        self.library.save_router(self._router)
        return expert

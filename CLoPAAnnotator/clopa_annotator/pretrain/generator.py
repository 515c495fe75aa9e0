"""Labelled volumes without end: each is a function of a seed, and none of them shows a patient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from clopa_annotator.episode.encoding import normalise
from clopa_annotator.episode.loop import WindowSample
from clopa_annotator.geometry import Kji, bounding_box, box_slices
from clopa_annotator.pretrain.anatomy import AnatomySettings, TargetMix, draw_anatomy, draw_target
from clopa_annotator.pretrain.appearance import AppearanceSettings, draw_image
from clopa_annotator.pretrain.shapes import dilate

LEAST_VOXELS = 150


@dataclass(frozen=True)
class GeneratorSettings:
    """What volumes look like.

    Attributes:
        side: edge of the network's patch in voxels; volumes are drawn around this size.
        contrast: least contrast of a target against its surroundings (see `contrast`) ...
        hidden: ... except for this share of the volumes.
        simple: share of volumes with few tissues and organs and little noise.
        simple_contrast: least contrast in those.
        small: chance of a volume smaller than the patch along every axis (padded by the session).
        least: smallest edge of such a volume as a fraction of ``side``.
        most: largest edge of the others as a fraction of ``side``.
        anatomy, appearance, targets: see there.
    """

    side: int = 64
    contrast: float = 0.9
    hidden: float = 0.04
    simple: float = 0.4
    simple_contrast: float = 1.8
    small: float = 0.65
    least: float = 0.42
    most: float = 1.15
    anatomy: AnatomySettings = field(default_factory=AnatomySettings)
    appearance: AppearanceSettings = field(default_factory=AppearanceSettings)
    targets: TargetMix = field(default_factory=TargetMix)


@dataclass(frozen=True, eq=False)
class Volume:
    """A generated volume.

    Attributes:
        image: (k, j, i) float32, normalised as the session does.
        target: (k, j, i) bool.
    """

    image: Tensor
    target: Tensor

    def to(self, device: torch.device) -> Volume:
        """The volume on another device."""
        return Volume(self.image.to(device), self.target.to(device))

    def sample(self) -> WindowSample:
        """The volume as the loop takes it."""
        return WindowSample(self.image, self.target)


def draw_volume(seed: tuple[int, ...], settings: GeneratorSettings) -> Volume:
    """The volume that belongs to a seed."""
    rng = np.random.default_rng(seed)
    while True:
        simple = rng.random() < settings.simple
        forms, looks = settings.anatomy, settings.appearance
        if simple:
            forms = replace(forms, tissues=(1, 3), organs=(1, 5))
            looks = replace(looks, noise=0.4 * looks.noise, texture=0.4 * looks.texture)
        anatomy = draw_anatomy(_draw_shape(settings, rng), forms, rng)
        target = draw_target(anatomy, settings.targets, rng)
        if target is None:
            continue
        image, body = draw_image(anatomy, looks, rng)
        target &= body
        if int(target.sum()) < LEAST_VOXELS or float(image.std()) < 1e-4:
            continue
        image = normalise(image)
        least = settings.simple_contrast if simple else settings.contrast
        if contrast(image, target) > least or rng.random() < settings.hidden:
            return Volume(image, target)


def contrast(image: Tensor, target: Tensor) -> float:
    """How far the target's mean grey is from that of its surroundings, in standard deviations."""
    bounds = bounding_box(target.numpy())
    if bounds is None:
        return 0.0
    (a, b, c) = ((max(lo - 2, 0), hi + 2) for lo, hi in bounds)
    image, target = image[box_slices((a, b, c))], target[box_slices((a, b, c))]
    inside, around = image[target], image[dilate(target, 2) & ~target]
    if around.numel() == 0:
        return 0.0
    spread = float((0.5 * (inside.var() + around.var())).sqrt())
    return abs(float(inside.mean() - around.mean())) / max(spread, 1e-6)


def _draw_shape(settings: GeneratorSettings, rng: np.random.Generator) -> Kji:
    low, high = (settings.least, 1.0) if rng.random() < settings.small else (0.85, settings.most)
    (k, j, i) = (round(settings.side * float(f)) for f in rng.uniform(low, high, 3))
    return (k, j, i)


class VolumeStream(IterableDataset[tuple[Tensor, Tensor]]):
    """Volumes ``first``, ``first + 1``, ... of a seed, shared out among the loader's workers in order."""

    def __init__(self, seed: int, settings: GeneratorSettings, first: int = 0) -> None:
        self._seed, self._settings, self._first = seed, settings, first

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        worker = get_worker_info()
        torch.set_num_threads(1)
        step, number = (1, 0) if worker is None else (worker.num_workers, worker.id)
        index = self._first + number
        while True:
            volume = draw_volume((self._seed, index), self._settings)
            yield volume.image, volume.target
            index += step


def stream(seed: int, settings: GeneratorSettings, first: int = 0, workers: int = 1) -> Iterator[Volume]:
    """Endless volumes, made in worker processes; the order does not depend on their number."""
    threads = torch.get_num_threads()
    loader = DataLoader(
        VolumeStream(seed, settings, first),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=6 if workers else None,
        multiprocessing_context="spawn" if workers else None,
    )
    for image, target in loader:
        if not workers:
            torch.set_num_threads(threads)
        yield Volume(image, target)

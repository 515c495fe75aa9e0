"""Labelled volumes without end: each is a function of a seed, and none of them shows a patient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from clopa_annotator.episode.loop import WindowSample
from clopa_annotator.geometry import Kji, bounding_box, box_slices
from clopa_annotator.pretrain.anatomy import AnatomySettings, TargetMix, draw_anatomy, draw_target
from clopa_annotator.pretrain.appearance import AppearanceSettings, draw_image
from clopa_annotator.pretrain.fields import DeviceRng
from clopa_annotator.pretrain.shapes import dilate
from clopa_annotator.session.patches import normalise

LEAST_VOXELS = 150


@dataclass(frozen=True)
class GeneratorSettings:
    """What volumes look like.

    Attributes:
        side: edge of the network's patch in voxels; volumes are drawn around this size.
        overlap: most that a target's greys may have in common with its surroundings' (see `overlap`). A mean
            contrast instead would leave out what lies between brighter and darker tissue, as a hippocampus
            does (overlap .44 to .52) ...
        hidden: ... except for this share of the volumes.
        simple: share of volumes with few tissues and organs and little noise.
        simple_overlap: the same limit in those.
        cropped: share of volumes that are a crop around their target, as data sets of one organ are.
        small: chance of a volume smaller than the patch along every axis (padded by the session).
        least: smallest edge of such a volume as a fraction of ``side``.
        most: largest edge of the others as a fraction of ``side``.
        anatomy, appearance, targets: see there.
    """

    side: int = 64
    overlap: float = 0.58
    hidden: float = 0.04
    simple: float = 0.4
    simple_overlap: float = 0.3
    cropped: float = 0.5
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


def draw_volume(
    seed: tuple[int, ...], settings: GeneratorSettings, device: torch.device | None = None
) -> Volume:
    """The volume that belongs to a seed; made on another device than the CPU it is another one."""
    rng = np.random.default_rng(seed) if device is None else DeviceRng(seed, device)
    while True:
        simple = rng.random() < settings.simple
        forms, looks = settings.anatomy, settings.appearance
        if simple:
            forms = replace(forms, tissues=(1, 3), organs=(1, 5))
            looks = replace(looks, noise=0.4 * looks.noise, texture=0.4 * looks.texture)
        cropped = rng.random() < settings.cropped
        anatomy = draw_anatomy(_draw_shape(settings, cropped, rng), forms, rng, focused=cropped)
        target = draw_target(anatomy, settings.targets, rng)
        if target is None:
            continue
        image, body = draw_image(anatomy, looks, rng)
        target &= body
        if int(target.sum()) < LEAST_VOXELS or float(image.std()) < 1e-4:
            continue
        image = normalise(image)
        most = settings.simple_overlap if simple else settings.overlap
        if overlap(image, target) < most or rng.random() < settings.hidden:
            return Volume(image, target)


def overlap(image: Tensor, target: Tensor, reach: int = 2, bins: int = 24) -> float:
    """How much of a target's grey-level histogram its surroundings share.

    Args:
        image: (k, j, i) float32.
        target: (k, j, i) bool.
        reach: width of the surroundings in voxels.
        bins: of the histograms, over the greys of both.

    Returns:
        0 for greys that are all different, 1 for the same histogram, and for an empty target or none around.
    """
    bounds = bounding_box(target.cpu().numpy())
    if bounds is None:
        return 1.0
    (a, b, c) = ((max(lo - reach, 0), hi + reach) for lo, hi in bounds)
    image, target = image[box_slices((a, b, c))], target[box_slices((a, b, c))]
    inside, around = image[target], image[dilate(target, reach) & ~target]
    if around.numel() == 0:
        return 1.0
    low, high = float(image.min()), float(image.max())
    shares = [torch.histc(x, bins, low, high) / x.numel() for x in (inside, around)]
    return float(torch.minimum(*shares).sum())


def _draw_shape(settings: GeneratorSettings, cropped: bool, rng: np.random.Generator) -> Kji:
    small = cropped or rng.random() < settings.small
    low, high = (settings.least, 1.0) if small else (0.85, settings.most)
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


def stream_on(
    device: torch.device, seed: int, settings: GeneratorSettings, first: int = 0
) -> Iterator[Volume]:
    """Endless volumes, made on the device that trains while it waits for nothing else."""
    index = first
    while True:
        yield draw_volume((seed, index), settings, device)
        index += 1

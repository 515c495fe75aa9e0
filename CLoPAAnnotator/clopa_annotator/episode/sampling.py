"""Which sample comes when: a pure function of the seed, prepared ahead by one thread.

Every sample has a place (epoch, update, slot) and draws from a generator seeded with it. An episode that is
resumed at an epoch therefore sees what it would have seen, without any generator's state being saved.

Cases are taken in shuffled passes, so that each of them trains before one trains twice.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from clopa_annotator.episode.augmentation import augment
from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.hardware.device_augmentation import augment_here
from clopa_annotator.episode.tour import Shown, reaches_far
from clopa_annotator.episode.training_cases import CaseFacts, CaseSource
from clopa_annotator.episode.window_sample import WindowSample, sample_of
from clopa_annotator.errors import ConfigError
from clopa_annotator.geometry import BoundsKji, Kji
from clopa_annotator.session.patches import overlap, patch_bounds
from clopa_annotator.session.zooming import LARGEST
from clopa_annotator.types import CaseRef

_PASS, _SAMPLE, _VALIDATION, WINDOW, _REPLAY = range(5)
"""What a seed is for; the first number after the episode's own."""

Replay = Callable[[tuple[int, ...]], WindowSample]
"""Makes the generated volume that belongs to a seed; the stage that generates is injected."""


@dataclass(frozen=True)
class Place:
    """One batch of an episode.

    Attributes:
        epoch: from 1 for training; validation batches belong to the epoch that they close, from 0.
        index: update or validation batch within the epoch, from 0.
        validation: held-out cases, without augmentation.
    """

    epoch: int
    index: int
    validation: bool = False


@dataclass(frozen=True, eq=False)
class Finish:
    """What is left to do with a sample on the device that trains.

    Attributes:
        seed: of the augmentation.
        strength: of the augmentation.
        around: box of the patch, relative to the sample; None leaves it as large as it is.
    """

    seed: int
    strength: float
    around: BoundsKji | None

    def __call__(self, sample: WindowSample) -> WindowSample:
        """The sample augmented and cut to its patch, on the device where it lies."""
        augmented = sample_of(
            *augment_here(sample.image, sample.masks, self.seed, self.strength), sample.shown
        )
        return augmented if self.around is None else augmented.cut(self.around)


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples with the place they belong to, on the CPU.

    Attributes:
        place: see `Place`.
        samples: see `WindowSample`.
        finishes: what `on_device` has still to do with each sample; empty if nothing.
    """

    place: Place
    samples: tuple[WindowSample, ...]
    finishes: tuple[Finish | None, ...] = ()


def plan(settings: EpisodeSettings, val_batches: int, done_epochs: int = -1) -> Iterator[Place]:
    """The batches of an episode in order, after the epochs that are done (-1: none, not even epoch 0)."""
    for epoch in range(done_epochs + 1, settings.epochs + 1):
        if epoch > 0:
            yield from (Place(epoch, n) for n in range(settings.updates))
        yield from (Place(epoch, n, validation=True) for n in range(val_batches))


class Sampler:
    """Makes the batch for a place.

    Args:
        source: where regions come from.
        train: cases to train on; at least one.
        val: held-out cases; may be empty.
        settings: see `EpisodeSettings`.
        patch_kji: the network's patch.
        seed: the episode's.
        replay: makes generated samples; needed if the settings ask for some.
        later: leave augmentation to `on_device`.

    Raises:
        ConfigError: the settings ask for generated samples and nothing makes them.
    """

    def __init__(
        self,
        source: CaseSource,
        train: Sequence[CaseRef],
        val: Sequence[CaseRef],
        settings: EpisodeSettings,
        patch_kji: Kji,
        seed: int,
        replay: Replay | None = None,
        later: bool = False,
    ) -> None:
        self._later = later
        if settings.replay and replay is None:
            raise ConfigError("The episode asks for generated volumes, but nothing here makes them.")
        self._replay = replay
        self._source = source
        self._train = tuple(train)
        self._val = tuple(val)
        self._settings = settings
        self._patch = patch_kji
        self._seed = seed

    @property
    def val_batches(self) -> int:
        """Number of validation batches per epoch."""
        return -(-self._val_windows // self._settings.batch)

    @property
    def _val_windows(self) -> int:
        return self._settings.val_samples if self._val else 0

    def batch(self, place: Place) -> Batch:
        """Read, normalise and augment the samples of one batch."""
        s = self._settings
        first = place.index * s.batch
        if place.validation:
            numbers = range(first, min(first + s.batch, self._val_windows))
            return Batch(place, *_apart([self._val_sample(n) for n in numbers]))
        first += (place.epoch - 1) * s.updates * s.batch
        return Batch(place, *_apart([self._train_sample(n) for n in range(first, first + s.batch)]))

    def rng(self, place: Place) -> np.random.Generator:
        """The generator for the prompts of a batch; validation gets the same ones every epoch."""
        return self._rng(WINDOW, int(place.validation), 0 if place.validation else place.epoch, place.index)

    def _rng(self, *what: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *what])

    def _train_sample(self, number: int) -> tuple[WindowSample, Finish | None]:
        if self._replay is not None and self._rng(_REPLAY, number).random() < self._settings.replay:
            return self._replay((self._seed, _REPLAY, number)), None
        turn, n = divmod(number, len(self._train))
        ref = self._train[int(self._rng(_PASS, turn).permutation(len(self._train))[n])]
        rng = self._rng(_SAMPLE, number)
        s = self._settings
        return self._sample(ref, rng, s.foreground, s.augmentation, s.zoomed)

    def _val_sample(self, number: int) -> tuple[WindowSample, Finish | None]:
        # In a patch without target one voxel decides between Dice 0 and 1: only "paper" takes such.
        turn, n = divmod(number, len(self._val))
        due = [int((turn + n + ahead) * self._settings.val_foreground) for ahead in (0, 1)]
        return self._sample(self._val[n], self._rng(_VALIDATION, number), float(due[1] > due[0]), 0.0, 0.0)

    def _sample(
        self, ref: CaseRef, rng: np.random.Generator, foreground: float, augmentation: float, zoomed: float
    ) -> tuple[WindowSample, Finish | None]:
        facts = self._source.facts(ref)
        centre = _centre(facts, rng, foreground)
        fixed = self._settings.patch_centre == "paper"
        patch = patch_bounds(centre, self._patch)
        may = zoomed > 0 and not fixed and reaches_far(facts.extent_kji, self._patch)
        far = may and rng.random() < zoomed
        reach = LARGEST if far else self._settings.region
        bounds = _inside(patch, facts.shape_kji) if fixed else self._around(centre, facts.shape_kji, reach)
        image, masks = self._source.region(ref, bounds)
        shown = Shown(bounds, facts.shape_kji) if far else None
        seed, around = int(rng.integers(2**32)), _relative(patch, bounds) if fixed else None
        if self._later:
            return _pinned(sample_of(image, masks, shown)), Finish(seed, augmentation, around)
        image, masks = augment(image, masks, seed, augmentation, self._settings.augmentation_as)
        sample = sample_of(image, masks, shown)
        return sample if around is None else sample.cut(around), None

    def _around(self, centre: Kji, shape: Kji, reach: float) -> BoundsKji:
        """``reach`` patches around a voxel, moved into the image; all of it where it is no larger."""
        sides = []
        for c, p, n in zip(centre, self._patch, shape, strict=True):
            size = min(n, round(reach * p))
            low = min(max(c - size // 2, 0), n - size)
            sides.append((low, low + size))
        return (sides[0], sides[1], sides[2])


def _apart(
    pairs: Sequence[tuple[WindowSample, Finish | None]],
) -> tuple[tuple[WindowSample, ...], tuple[Finish | None, ...]]:
    return tuple(sample for sample, _ in pairs), tuple(finish for _, finish in pairs)


def _pinned(sample: WindowSample) -> WindowSample:
    """In memory from which a CUDA device copies by itself; as it is where there is none."""
    if not torch.cuda.is_available():
        return sample
    return sample.each(lambda volume: volume.pin_memory())


def _centre(facts: CaseFacts, rng: np.random.Generator, foreground: float) -> Kji:
    wanted, other = facts.foreground, facts.background
    if rng.random() >= foreground:
        wanted, other = other, wanted
    voxels = wanted if len(wanted) else other
    k, j, i = (int(x) for x in voxels[rng.integers(len(voxels))])
    return (k, j, i)


def _inside(bounds: BoundsKji, shape: Kji) -> BoundsKji:
    in_image, _ = overlap(bounds, shape)
    (a, b, c) = ((s.start, s.stop) for s in in_image)
    return (a, b, c)


def _relative(bounds: BoundsKji, origin: BoundsKji) -> BoundsKji:
    (a, b, c) = ((lo - o, hi - o) for (lo, hi), (o, _) in zip(bounds, origin, strict=True))
    return (a, b, c)


class Prefetcher:
    """Prepares batches in one thread, in order, at most ``ahead`` of them before they are taken.

    One thread and not several processes: the network takes nearly all of the time, and a process more costs
    the memory of a second torch. Closing it ends the thread.
    """

    def __init__(self, make: Callable[[Place], Batch], places: Iterator[Place], ahead: int) -> None:
        self._queue: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=ahead)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(make, places), daemon=True, name="samples")
        self._thread.start()

    def __iter__(self) -> Iterator[Batch]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        """End the thread; what is prepared is dropped."""
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join()

    def _work(self, make: Callable[[Place], Batch], places: Iterator[Place]) -> None:
        # torch.set_num_threads would hold for the whole process and slow the network down: leave it alone.
        try:
            for place in places:
                if not self._put(make(place)):
                    return
            self._put(None)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that takes the batches
            self._put(error)

    def _put(self, item: Batch | BaseException | None) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False


def on_device(batch: Batch, device: torch.device) -> tuple[WindowSample, ...]:
    """The samples of a batch on the device that trains, with what was left to be done there."""
    samples = batch.samples if device.type == "cpu" else tuple(_moved(s, device) for s in batch.samples)
    finishes = batch.finishes or (None,) * len(samples)
    return tuple(s if f is None else f(s) for s, f in zip(samples, finishes, strict=True))


def _moved(sample: WindowSample, device: torch.device) -> WindowSample:
    return sample.each(lambda volume: volume.to(device, non_blocking=volume.is_pinned()))

"""Samples: a function of seed and place, normalised over the whole image, read in parts, memory bounded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_episode import PATCH, QUICK, MemoryReader, tiny_reader

from clopa_annotator.episode.augmentation import augment
from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.sampling import Batch, Place, Prefetcher, Sampler, plan
from clopa_annotator.episode.training_cases import CaseSource
from clopa_annotator.errors import EpisodeError
from clopa_annotator.session.patches import normalise


def a_sampler(options: EpisodeSettings, reader: MemoryReader, seed: int = 3, cache: int = 1 << 20) -> Sampler:
    source = CaseSource(reader, cache, seed)
    return Sampler(source, reader.refs[:-1], reader.refs[-1:], options, PATCH, seed)


def equal(a: Batch, b: Batch) -> bool:
    return all(
        torch.equal(x.image, y.image) and torch.equal(x.target, y.target)
        for x, y in zip(a.samples, b.samples, strict=True)
    )


@pytest.mark.parametrize("mode", ["session", "paper"])
def test_a_batch_depends_on_seed_and_place_alone(mode: str) -> None:
    options = replace(QUICK, patch_centre=mode)
    first, second = (a_sampler(options, tiny_reader()) for _ in range(2))
    place = Place(2, 1)
    for other in (Place(1, 0), Place(1, 1)):
        first.batch(other)
    assert equal(first.batch(place), second.batch(place))
    assert not equal(first.batch(place), a_sampler(options, tiny_reader(), seed=4).batch(place))
    assert first.rng(place).random() == second.rng(place).random()


def test_memory_does_not_change_what_is_sampled() -> None:
    rich, poor = (a_sampler(QUICK, tiny_reader(), cache=size) for size in (1 << 20, 0))
    for place in (Place(1, 0), Place(1, 1), Place(0, 0, validation=True)):
        assert equal(rich.batch(place), poor.batch(place))


def test_validation_is_the_same_in_every_epoch() -> None:
    sampler = a_sampler(QUICK, tiny_reader())
    first, later = Place(0, 0, validation=True), Place(2, 0, validation=True)
    assert equal(sampler.batch(first), sampler.batch(later))
    assert sampler.rng(first).random() == sampler.rng(later).random()


def test_every_case_trains_once_before_one_trains_twice() -> None:
    reader = tiny_reader()
    seen: list[str] = []

    class Spy(CaseSource):
        def region(self, ref, bounds):  # type: ignore[no-untyped-def]
            seen.append(ref.case_id)
            return super().region(ref, bounds)

    options = replace(QUICK, updates=6, batch=2, augmentation=0.0)
    sampler = Sampler(Spy(reader, 1 << 20, 0), reader.refs[:-1], (), options, PATCH, 0)
    for n in range(6):
        sampler.batch(Place(1, n))
    passes = [seen[i : i + 4] for i in range(0, 12, 4)]
    assert all(sorted(p) == ["case 1", "case 2", "case 3", "case 4"] for p in passes)
    assert len({tuple(p) for p in passes}) > 1
    assert sampler.val_batches == 0


@given(epochs=st.integers(1, 4), updates=st.integers(1, 4), val=st.integers(0, 3), done=st.integers(-1, 4))
def test_a_resumed_plan_is_the_rest_of_the_whole_one(epochs: int, updates: int, val: int, done: int) -> None:
    options = replace(QUICK, epochs=epochs, updates=updates)
    whole = list(plan(options, val))
    assert len(whole) == epochs * updates + (epochs + 1) * val
    rest = list(plan(options, val, min(done, epochs)))
    assert rest == [p for p in whole if p.epoch > done]


def test_a_session_sample_is_the_whole_small_image_normalised_as_the_session_does() -> None:
    reader = tiny_reader()
    sampler = a_sampler(replace(QUICK, augmentation=0.0), reader)
    sample = sampler.batch(Place(0, 0, validation=True)).samples[0]
    image = reader.images[reader.refs[-1].image_hash]
    assert torch.equal(sample.image, normalise(torch.from_numpy(image)))
    assert torch.equal(sample.target, torch.from_numpy(reader.masks[reader.refs[-1].mask_hash]) > 0)


def test_a_paper_sample_is_one_patch_padded_with_exact_zeros() -> None:
    reader = MemoryReader({1: (10, 30, 12), 2: (10, 30, 12)})
    sampler = a_sampler(replace(QUICK, patch_centre="paper", augmentation=1.0), reader)
    for n in range(6):
        for sample in sampler.batch(Place(1, n)).samples:
            assert sample.image.shape == sample.target.shape == PATCH
            # The image has 10 planes, so 6 of the patch's 16 lie outside whatever the centre.
            outside = [k for k in range(16) if not sample.image[k].any()]
            assert len(outside) >= 6
            assert not sample.target[outside].any()


def test_patches_are_centred_on_foreground_and_background_equally_often() -> None:
    reader = MemoryReader({1: (40, 40, 40), 2: (40, 40, 40)})
    options = replace(QUICK, patch_centre="paper", augmentation=0.0, updates=200, batch=1)
    sampler = a_sampler(options, reader)
    hits = [bool(sampler.batch(Place(1, n)).samples[0].target[8, 8, 8]) for n in range(200)]
    assert 70 <= sum(hits) <= 130


def test_of_a_large_image_only_the_neighbourhood_is_read() -> None:
    reader = MemoryReader({1: (70, 20, 90), 2: (70, 20, 90)})
    sampler = a_sampler(replace(QUICK, region=2.0), reader, cache=1000)
    shapes = {tuple(s.image.shape) for n in range(4) for s in sampler.batch(Place(1, n)).samples}
    assert shapes == {(32, 20, 32)}
    assert reader.reads.count("image") == 1  # once, for the statistics
    assert reader.reads.count("patch") == 8


def test_memory_for_cases_is_bounded() -> None:
    reader = tiny_reader()
    one = 5 * max(v.size for v in reader.images.values())
    source = CaseSource(reader, 2 * one, 0)
    for _ in range(2):
        for ref in reader.refs:
            source.region(ref, ((0, 4), (0, 4), (0, 4)))
            assert 0 < source.bytes_held <= 2 * one
    assert reader.reads.count("image") == len(reader.refs)


def test_a_mask_on_another_grid_is_refused_with_the_case() -> None:
    reader = tiny_reader()
    ref = reader.refs[0]
    reader.masks[ref.mask_hash] = reader.masks[ref.mask_hash][:-1]
    with pytest.raises(EpisodeError, match="case 1"):
        CaseSource(reader, 1000, 0).facts(ref)


def test_a_case_without_target_is_sampled_around_its_background() -> None:
    reader = tiny_reader()
    for mask in reader.masks.values():
        mask[:] = 0
    sample = a_sampler(QUICK, reader).batch(Place(1, 0)).samples[0]
    assert not sample.target.any()


def test_batches_come_in_order_and_errors_come_through() -> None:
    places = [Place(1, n) for n in range(5)]

    def make(place: Place) -> Batch:
        if place.index == 3:
            raise ValueError("no more")
        return Batch(place, ())

    prefetcher = Prefetcher(make, iter(places), 2)
    got = []
    with pytest.raises(ValueError, match="no more"):
        for batch in prefetcher:
            got.append(batch.place)
    prefetcher.close()
    assert got == places[:3]


def test_preparing_samples_takes_no_threads_from_the_network() -> None:
    """PyTorch's number of threads is one for the whole process, whichever thread sets it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        prefetcher = Prefetcher(lambda p: Batch(p, ()), (Place(1, n) for n in range(10**6)), 2)
        next(iter(prefetcher))
        assert torch.get_num_threads() == 2
        prefetcher.close()
        assert not prefetcher._thread.is_alive()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def a_sample(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.normal(size=(12, 20, 16)).astype(np.float32))
    target = torch.zeros(image.shape, dtype=torch.bool)
    target[4:8, 8:14, 5:11] = True
    return image, target


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_augmentation_is_decided_by_its_seed_and_keeps_the_target(seed: int) -> None:
    image, target = a_sample()
    kept = image.clone()
    first, second = augment(image, target, seed, 1.0), augment(image, target, seed, 1.0)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert first[0].shape == image.shape
    assert first[0].dtype == torch.float32
    assert first[1].dtype == torch.bool
    assert first[1].any()
    assert torch.isfinite(first[0]).all()
    assert torch.equal(image, kept)


def test_augmentation_changes_most_samples_and_none_without_strength() -> None:
    image, target = a_sample()
    changed = [not torch.equal(augment(image, target, seed, 1.0)[0], image) for seed in range(40)]
    assert sum(changed) > 30
    assert augment(image, target, 1, 0.0)[0] is image


def test_augmentation_leaves_the_global_generators_alone() -> None:
    image, target = a_sample()
    np.random.seed(5)
    torch.manual_seed(5)
    wanted = np.random.random(), torch.rand(1)
    np.random.seed(5)
    torch.manual_seed(5)
    augment(image, target, 9, 1.0)
    assert (np.random.random(), torch.rand(1)) == wanted


def test_a_target_that_turning_would_lose_is_kept() -> None:
    image = torch.randn(12, 20, 16)
    target = torch.zeros(image.shape, dtype=torch.bool)
    target[0, 0, 0] = True
    assert all(augment(image, target, seed, 1.0)[1].any() for seed in range(60))


@pytest.mark.parametrize("shape", [(1, 5, 9), (2, 2, 2), (40, 3, 7)])
def test_thin_samples_can_be_augmented(shape: tuple[int, int, int]) -> None:
    image, target = torch.randn(shape), torch.ones(shape, dtype=torch.bool)
    for seed in range(30):
        assert augment(image, target, seed, 1.0)[0].shape == shape


def test_images_stay_aligned_with_their_targets() -> None:
    """The image shows the target itself: whatever the transform, bright voxels and target coincide."""
    target = torch.zeros((16, 20, 18), dtype=torch.bool)
    target[3:9, 5:15, 4:10] = True
    image = torch.where(target, 3.0, -3.0)
    for seed in range(40):
        changed, moved = augment(image, target, seed, 1.0)
        inside, outside = changed[moved].mean(), changed[~moved].mean()
        assert abs(float(inside - outside)) > 1.5

"""Looks at large structures in training: the session's way, no cut in sight, and small ones as before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_episode import PATCH, QUICK, MemoryReader

from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.loop import WindowSettings, run_window
from clopa_annotator.episode.prompt_canvas import EncodingRules, PromptCanvas
from clopa_annotator.episode.prompting import MixedPrompter, PointPrompter
from clopa_annotator.episode.sampling import Place, Sampler
from clopa_annotator.episode.tour import Shown, Tour, reaches_far
from clopa_annotator.episode.training_cases import CaseSource
from clopa_annotator.episode.window_sample import WindowSample
from clopa_annotator.errors import ConfigError
from clopa_annotator.session.zooming import box_of, sides_of

RULES = EncodingRules((32, 32, 32), point_radius=2)
BIG = (24, 100, 110)


def an_organ() -> torch.Tensor:
    axes = np.indices(BIG, dtype=np.float32)
    return torch.from_numpy(
        sum(((x - c) / h) ** 2 for x, c, h in zip(axes, (12, 50, 55), (9, 42, 45), strict=True)) < 1
    )


def whole() -> Shown:
    return Shown(((0, 24), (0, 100), (0, 110)), BIG)


class Answering(torch.nn.Module):
    """Answers with a share of what should be answered, and keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.given: list[torch.Tensor] = []

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.given.append(inputs.detach().clone())
        image = inputs[:, :1]
        return torch.cat((torch.zeros_like(image), (image - 0.5) * self.weight), dim=1)


def run(seed: int, steps: int, target: torch.Tensor, image: torch.Tensor | None = None) -> Answering:
    network = Answering()
    sample = WindowSample(target.float() if image is None else image, target, whole())
    settings = WindowSettings(steps=steps, rules=RULES)
    run_window(network, [sample], PointPrompter(), np.random.default_rng(seed), settings, backward=True)
    return network


def test_a_window_looks_from_afar_then_refines_with_the_coarse_mask_then_clicks() -> None:
    target = an_organ()
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 0.3, BIG).astype(np.float32))
    kinds = set()
    for seed in range(8):
        given = [x[0] for x in run(seed, 4, target, target.float() + noise).given]
        assert len(given) == 4
        before = [bool(x[1].any()) for x in given]
        assert not before[0], "the first look has no mask before it"
        # Either the first look counts, and the second refines it, or the second does, with the same prompts.
        refines = before.index(True)
        assert refines in (1, 2)
        if refines == 2:
            assert torch.equal(given[0][1], given[1][1]) and not torch.equal(given[0][0], given[1][0])
        kinds.add(refines)
    assert kinds == {1, 2}


def test_the_loss_of_a_look_from_afar_is_against_the_target_at_its_scale() -> None:
    target = an_organ()
    canvas = PromptCanvas(target.float(), RULES)
    tour = Tour(canvas, target, whole(), PointPrompter(), np.random.default_rng(1))
    assert max(tour.way()) > 1
    canvas.zoom = 2.25
    seen = canvas.crop(target)
    low = [c - s // 2 for c, s in zip(canvas.centre_kji, sides_of(RULES.patch_kji, 2.25), strict=True)]
    for place in ((16, 16, 16), (15, 10, 20), (17, 22, 12)):
        voxel = [int(a + (p + 0.5) * 2.25) for a, p in zip(low, place, strict=True)]
        inside = all(0 <= v < n for v, n in zip(voxel, BIG, strict=True))
        near = inside and bool(target[tuple(slice(max(0, v - 2), v + 3) for v in voxel)].all())
        far = not inside or not bool(target[tuple(slice(max(0, v - 2), v + 3) for v in voxel)].any())
        assert (not near or seen[place]) and (not far or not seen[place])
    assert seen.any() and not seen.all()


def test_a_structure_that_the_patch_holds_is_looked_at_once_and_clicked_again() -> None:
    target = torch.zeros(BIG, dtype=torch.bool)
    target[10:14, 48:54, 52:60] = True
    canvas = PromptCanvas(target.float(), RULES)
    tour = Tour(canvas, target, whole(), PointPrompter(), np.random.default_rng(0))
    assert tour.way() == (1.0,) and tour.keeps and canvas.zoom == 1
    drawn = float(canvas.network_input()[4].sum())
    assert tour.go_on() and canvas.zoom == 1, "nothing was found: a click"
    assert float(canvas.network_input()[4].sum()) > drawn


def test_nothing_is_left_to_correct_once_the_target_is_found() -> None:
    target = an_organ()
    canvas = PromptCanvas(target.float(), RULES)
    tour = Tour(canvas, target, whole(), PointPrompter(), np.random.default_rng(3))
    for _ in range(40):
        if tour.keeps:
            canvas.paste(canvas.seen(target, canvas.zoom))
        if not tour.go_on():
            break
    else:
        pytest.fail("the tour did not end")
    assert canvas.previous.equal(target)


def test_no_look_and_no_click_needs_what_lies_beyond_a_cut() -> None:
    bounds, image = ((0, 24), (30, 130), (0, 110)), (24, 200, 110)
    shown, target = Shown(bounds, image), an_organ()
    (k0, k1), (j0, j1), (i0, i1) = shown.clickable(RULES.patch_kji)
    assert (k0, k1, i0, i1) == (0, 24, 0, 110) and (j0, j1) == (16, 85)
    for seed in range(30):
        canvas = PromptCanvas(target.float(), RULES)
        tour = Tour(canvas, target, shown, PointPrompter(), np.random.default_rng(seed))
        assert j0 <= canvas.centre_kji[1] < j1
        for zoom in tour.way():
            low, high = box_of(canvas.centre_kji, sides_of(RULES.patch_kji, zoom))[1]
            assert low >= 0 and high <= 100
        canvas.paste(torch.ones(RULES.patch_kji))
        while tour.keeps and tour.go_on() and not canvas.zoom > 1:
            canvas.paste(canvas.seen(target, canvas.zoom))
        assert j0 <= canvas.centre_kji[1] < j1 or not tour.keeps


def test_background_is_clicked_anywhere_in_the_image() -> None:
    places = []
    for seed in range(40):
        canvas = PromptCanvas(torch.zeros(BIG), RULES)
        Tour(canvas, an_organ(), whole(), PointPrompter(), np.random.default_rng(seed))
        negative = np.argwhere(canvas._channels[4].numpy() == canvas._channels[4].max().item())
        places.append(negative[0])
    spread = np.asarray(places)
    assert (spread.min(0) < [6, 20, 20]).all() and (spread.max(0) > [18, 80, 90]).all()


def test_an_annotator_who_draws_is_refused() -> None:
    with pytest.raises(ConfigError, match="clicks only"):
        for seed in range(30):
            canvas = PromptCanvas(torch.zeros(BIG), RULES)
            Tour(canvas, an_organ(), whole(), MixedPrompter(), np.random.default_rng(seed))


@pytest.mark.parametrize(("extent", "far"), [((64, 48, 48), True), ((48, 48, 48), False), ((9, 49, 9), True)])
def test_up_to_three_quarters_of_the_patch_is_near(extent: tuple[int, int, int], far: bool) -> None:
    assert reaches_far(extent, (64, 64, 64)) == far


def samples(reader: MemoryReader, options: EpisodeSettings, later: bool = False) -> list[WindowSample]:
    source = CaseSource(reader, 1 << 20, 3)
    sampler = Sampler(source, reader.refs[:-1], reader.refs[-1:], options, PATCH, 3, later=later)
    places = [Place(e, n) for e in (1, 2, 3) for n in range(2)]
    return [s for place in (*places, Place(1, 0, True)) for s in sampler.batch(place).samples]


@pytest.mark.parametrize("mode", ["session", "paper"])
@pytest.mark.parametrize("later", [False, True])
def test_structures_that_fit_the_patch_train_bit_for_bit_as_without_looks_from_afar(
    mode: str, later: bool
) -> None:
    for shapes in ({1: (20, 24, 22), 2: (24, 20, 20), 3: (24, 22, 20)}, {1: (14, 18, 22), 2: (24, 24, 24)}):
        options = replace(QUICK, patch_centre=mode, augmentation=1.0)
        plain = samples(MemoryReader(shapes), options, later)
        zoomed = samples(MemoryReader(shapes), replace(options, zoomed=1.0), later)
        for a, b in zip(plain, zoomed, strict=True):
            assert torch.equal(a.image, b.image) and torch.equal(a.target, b.target) and b.shown is None


def test_a_large_structure_is_shown_whole_by_the_share_asked_for_and_never_for_validation() -> None:
    shapes = {n: (20, 90, 40) for n in range(1, 4)}
    found = samples(MemoryReader(shapes), replace(QUICK, zoomed=0.5))
    training, validation = found[:-2], found[-2:]
    far = [s for s in training if s.shown is not None]
    assert 0 < len(far) < len(training)
    assert all(tuple(s.image.shape) == (20, 64, 40) for s in far), "four patches, or the image"
    assert all(tuple(s.image.shape) == (20, 32, 32) for s in training if s.shown is None)
    assert all(s.shown is None for s in validation)
    assert all(s.shown is None for s in samples(MemoryReader(shapes), QUICK))
    paper = replace(QUICK, zoomed=1.0, patch_centre="paper")
    assert all(s.shown is None for s in samples(MemoryReader(shapes), paper))

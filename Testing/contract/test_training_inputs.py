"""Training sees what inference sees: an episode's inputs equal the session's own encoding, bit by bit."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))
from tiny_episode import QUICK, MemoryReader

from clopa_annotator.episode.job import rules_of
from clopa_annotator.episode.loop import WindowSettings, run_window
from clopa_annotator.episode.prompt_canvas import PromptCanvas
from clopa_annotator.episode.prompting import PointPrompter
from clopa_annotator.episode.sampling import Place, Sampler
from clopa_annotator.episode.tour import Shown, Tour
from clopa_annotator.episode.training_cases import CaseSource
from clopa_annotator.episode.window_sample import WindowSample
from clopa_annotator.geometry import Geometry
from clopa_annotator.session.background import NEGATIVE
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.session.patches import crop_padded, normalise, patch_bounds
from clopa_annotator.session.prompt_encoder import PromptEncoder
from clopa_annotator.session.suggesting import LocalSuggester
from clopa_annotator.session.zooming import zooms
from clopa_annotator.testing.random_model import QUICKEST, write_random_model
from clopa_annotator.types import Image, PointPrompt, Prompt


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("model")
    return load_model(write_random_model(folder, features=QUICKEST["features"]), "cpu")


@pytest.mark.parametrize("shape", [(35, 51, 35), (80, 40, 100), (64, 64, 64)])
@pytest.mark.parametrize("cache", [0, 1 << 24])
def test_a_window_of_prompts_is_encoded_as_the_session_does(
    model: LoadedModel, shape: tuple[int, int, int], cache: int
) -> None:
    reader = MemoryReader({1: shape, 2: shape})
    settings = replace(QUICK, augmentation=0.0)
    source = CaseSource(reader, cache, 0)
    sampler = Sampler(source, reader.refs, (), settings, model.patch_size_kji, 0)
    rng = np.random.default_rng(1)
    sample = sampler.batch(Place(1, 0)).samples[0]
    assert tuple(sample.image.shape) == shape
    raw = _image_of(reader, sample.target.numpy())
    encoder = PromptEncoder(model)
    encoder.set_image(raw)

    canvas = PromptCanvas(sample.image, rules_of(model))
    target = sample.target.numpy()
    prompter = PointPrompter()
    given: list[Prompt] = []
    for step in range(5):
        current = canvas.previous.numpy()
        prompts = prompter.correct(current, target, rng) if step else prompter.initial(target, rng)
        given.extend(prompts)
        for prompt in prompts:
            canvas.add(prompt)
        inputs = canvas.network_input()
        expected = encoder.encode(given, current.astype(np.uint8))
        assert torch.equal(inputs, expected)
        canvas.paste(torch.from_numpy(rng.random(model.patch_size_kji) < 0.3))


def _image_of(reader: MemoryReader, target: np.ndarray) -> np.ndarray:
    name = next(n for n, mask in reader.masks.items() if np.array_equal(mask > 0, target))
    return reader.images[name]


@pytest.mark.parametrize("shape", [(35, 51, 35), (80, 40, 100)])
@pytest.mark.parametrize("cache", [0, 1 << 24])
def test_a_window_beside_other_targets_is_encoded_as_the_session_does(
    model: LoadedModel, shape: tuple[int, int, int], cache: int
) -> None:
    """Two masks of other targets: training reads them from the campaign, the session is told of both."""
    reader = MemoryReader({1: shape, 2: shape, 3: shape})
    first, *others = reader.refs
    beside = {first.record_hash: tuple(others)}
    source = CaseSource(reader, cache, 0, beside)
    settings = replace(QUICK, augmentation=0.0)
    sample = Sampler(source, (first,), (), settings, model.patch_size_kji, 0).batch(Place(1, 0)).samples[0]
    union = np.logical_or(*(reader.masks[ref.mask_hash] for ref in others))
    assert sample.others is not None and np.array_equal(sample.others.numpy(), union)
    encoder = PromptEncoder(model)
    encoder.set_image(_image_of(reader, sample.target.numpy()))
    plain = encoder.encode([PointPrompt((9, 9, 9))])
    encoder.set_others(union.astype(np.uint8))
    canvas = PromptCanvas(sample.image, rules_of(model), sample.others)
    rng, prompter = np.random.default_rng(1), PointPrompter()
    given: list[Prompt] = []
    for step in range(4):
        current, target = canvas.previous.numpy(), sample.target.numpy()
        prompts = prompter.correct(current, target, rng) if step else prompter.initial(target, rng)
        given.extend(prompts)
        for prompt in prompts:
            canvas.add(prompt)
        assert torch.equal(canvas.network_input(), encoder.encode(given, current.astype(np.uint8)))
        canvas.paste(torch.from_numpy(rng.random(model.patch_size_kji) < 0.3))
    told = encoder.encode([PointPrompt((9, 9, 9))])
    differs = [channel for channel in range(8) if not torch.equal(told[channel], plain[channel])]
    assert differs == [NEGATIVE], "only the channel of negative boxes and lassos knows of them"
    assert set(told[NEGATIVE].unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("shape", [(35, 51, 35), (80, 40, 100), (150, 70, 90)])
def test_a_window_without_a_prompt_is_encoded_as_the_session_does(
    model: LoadedModel, shape: tuple[int, int, int]
) -> None:
    """The looks of a suggestion: the whole image from afar, then a patch of it with the coarse mask."""
    rng = np.random.default_rng(2)
    raw = rng.normal(100, 20, shape).astype(np.float32)
    encoder = PromptEncoder(model)
    encoder.set_image(raw)
    canvas = PromptCanvas(normalise(torch.from_numpy(raw)), rules_of(model))
    closer = canvas.look_around()
    assert closer == (max(shape) > 64)
    look = canvas.look
    assert torch.equal(canvas.network_input(), encoder.encode((), None, look.centre_kji, look.zoom))
    canvas.paste(torch.from_numpy(rng.random(model.patch_size_kji) < 0.3))
    assert canvas.previous.any()
    canvas.look_closer((20, 30, 25))
    previous = canvas.previous.numpy().astype(np.uint8)
    assert torch.equal(canvas.network_input(), encoder.encode((), previous, (20, 30, 25)))
    click = PointPrompt((10, 20, 30))
    canvas.add(click)
    assert torch.equal(canvas.network_input(), encoder.encode([click], previous)), "clicks refine it"


def test_an_episode_sees_what_a_suggestion_sees(model: LoadedModel) -> None:
    """Both run on one image; the network's inputs are recorded and compared."""
    rng = np.random.default_rng(3)
    for shape in ((30, 40, 50), (70, 60, 100)):
        raw = rng.normal(100, 20, shape).astype(np.float32)
        seen: list[torch.Tensor] = []
        hook = model.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))  # noqa: B023
        target = torch.zeros(shape, dtype=torch.bool)
        target[10:20, 10:30, 10:40] = True
        sample = WindowSample(normalise(torch.from_numpy(raw)), target)
        settings = WindowSettings(steps=1, rules=rules_of(model), unprompted=1.0)
        run_window(model.network, [sample], PointPrompter(), rng, settings, backward=False)
        LocalSuggester(model).begin(Image(raw, Geometry(shape))).step()
        hook.remove()
        assert len(seen) == 2
        assert torch.equal(seen[0], seen[1])
        assert not seen[0][:, 1:].any(), "no channel but the image's holds anything"


class Threshold(torch.nn.Module):
    """Answers with the bright voxels of what it sees, and keeps what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, patch: torch.Tensor) -> torch.Tensor:
        self.seen.append(patch[0].clone())
        return torch.cat((torch.zeros_like(patch[:, :1]), patch[:, :1] - 0.5), dim=1)


@pytest.fixture(scope="module")
def large() -> tuple[np.ndarray, np.ndarray]:
    """An image with an organ larger than the patch, and the organ."""
    rng = np.random.default_rng(4)
    axes = np.indices((36, 190, 230), dtype=np.float32)
    half = zip(axes, (17, 95, 120), (13, 75, 95), strict=True)
    organ = sum(((x - c) / h) ** 2 for x, c, h in half) < 1
    return (rng.normal(0, 0.1, organ.shape) + organ).astype(np.float32), np.asarray(organ)


@pytest.mark.parametrize(
    ("clicks", "furthest"),
    [
        ((PointPrompt((5, 10, 10), False), PointPrompt((17, 95, 120))), 3.375),
        ((PointPrompt((30, 180, 5), False), PointPrompt((16, 60, 60))), 4.0),
        ((PointPrompt((17, 95, 27)),), 4.0),
    ],
)
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside others"])
def test_looks_from_further_away_and_their_refinement_train_with_what_the_session_gives(
    model: LoadedModel,
    large: tuple[np.ndarray, np.ndarray],
    clicks: tuple[Prompt, ...],
    furthest: float,
    beside: bool,
) -> None:
    """Every input of a click that zooms out and refines, then of one that corrects it, bit by bit."""
    network = Threshold()
    threshold = replace(model, network=network, artifacts={**model.artifacts, "network": network})
    session = LocalSession(threshold)
    session.set_image(Image(large[0], Geometry(large[0].shape)))
    others = np.roll(~large[1], 30, axis=1) if beside else None
    session.set_others(None if others is None else others.astype(np.uint8))
    told = None if others is None else torch.from_numpy(others)
    canvas = PromptCanvas(normalise(torch.from_numpy(large[0])), rules_of(model), told)
    target = torch.from_numpy(large[1])
    for given, reaches in ((clicks, furthest), ((PointPrompt((17, 95, 120)),), 1.0)):
        session.add_prompts(given)
        seen, network.seen = network.seen, []
        for prompt in given:
            canvas.add(prompt)
        way = tuple(zoom for zoom in zooms() if zoom <= reaches)
        whole = Shown(((0, 36), (0, 190), (0, 230)), (36, 190, 230))
        assert _tour(canvas, target, whole).way() == way
        for zoom, expected in zip(way, seen, strict=False):
            canvas.zoom = zoom
            assert torch.equal(canvas.network_input(), expected), f"zoom {zoom}"
        canvas.paste(seen[len(way) - 1][0] > 0.5)
        assert (len(seen) > len(way) + 3) == (reaches > 1)
        for expected in seen[len(way) :]:
            canvas.look_closer(_place_of(expected, canvas))
            assert torch.equal(canvas.network_input(), expected), "a refining look"
            canvas.paste(expected[0] > 0.5)
        assert torch.equal(canvas.previous, torch.from_numpy(session.proposal.mask > 0))


def _tour(canvas: PromptCanvas, target: torch.Tensor, shown: Shown) -> Tour:
    class Silent(PointPrompter):
        def initial(self, target: np.ndarray, rng: np.random.Generator) -> tuple[Prompt, ...]:
            return ()

    return Tour(canvas, target, shown, Silent(), np.random.default_rng(0))


def _place_of(inputs: torch.Tensor, canvas: PromptCanvas) -> tuple[int, int, int]:
    """Where in the image the session refined: the noise of a patch is found nowhere else."""
    first = int(torch.nonzero(inputs[0].abs().sum((1, 2)))[0])
    for k, j, i in torch.nonzero(canvas.image == inputs[0][first, 32, 32]).tolist():
        place = (k - first + 32, j, i)
        if torch.equal(crop_padded(canvas.image, patch_bounds(place, canvas.rules.patch_kji)), inputs[0]):
            return place
    raise AssertionError("The session refined something that is no patch of the image.")

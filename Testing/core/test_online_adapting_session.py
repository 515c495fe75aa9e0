"""Learning between clicks through the real session: the same inputs, exact undo, one version per proposal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_online import same, values

from clopa_annotator.experts.features import captured_input
from clopa_annotator.geometry import Geometry
from clopa_annotator.online.adapting_session import AdaptingSession
from clopa_annotator.online.inputs import CanvasEncoder, rules_of
from clopa_annotator.online.online_settings import OaimsSettings, SparseSettings, StepSettings
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.session.protocol import Session
from clopa_annotator.strategies import StrategySpec, get_strategy
from clopa_annotator.testing.random_model import write_random_model
from clopa_annotator.types import BoxPrompt, Image, Mask, PointPrompt, Prompt


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    torch.set_num_threads(1)
    where = tmp_path_factory.mktemp("model") / "m"
    folder = write_random_model(where, patch_size_kji=(50, 50, 50), features=(2, 4), seed=3)
    return load_model(folder, "cpu")


def a_case() -> tuple[Image, Mask]:
    rng = np.random.default_rng(0)
    mask = np.zeros((30, 40, 26), np.uint8)
    mask[10:20, 12:26, 8:18] = 1
    return Image((rng.normal(50, 5, mask.shape) + 20 * mask).astype(np.float32), Geometry(mask.shape)), mask


def a_spec() -> StrategySpec:
    step = StepSettings(learning_rate=1e-3)
    return StrategySpec("test", "", online=OaimsSettings(group="cn", post_step=step, mid_step=step))


def an_adapting_session(model: LoadedModel) -> AdaptingSession:
    strategy = a_spec().start_online(model)
    assert strategy is not None
    return AdaptingSession(LocalSession(model), strategy)


STEPS: tuple[tuple[Prompt, ...], ...] = (
    (PointPrompt((3, 4, 5), False), PointPrompt((15, 20, 12))),
    (PointPrompt((12, 14, 9)),),
    (BoxPrompt(((15, 16), (10, 28), (6, 20))),),
    (PointPrompt((25, 30, 20), False),),
)


def test_what_a_strategy_learns_from_is_bit_for_bit_what_the_session_predicted_from(
    model: LoadedModel,
) -> None:
    image, _ = a_case()
    session = LocalSession(model)
    session.set_image(image)
    encoder = CanvasEncoder(rules_of(model.artifacts, model.patch_size_kji))
    encoder.set_image(image.voxels)
    first_layer = next(m for m in model.network.modules() if isinstance(m, torch.nn.Conv3d))
    given: tuple[Prompt, ...] = ()
    for step in STEPS:
        before = session.proposal.mask
        with captured_input(first_layer) as seen:
            session.add_prompts(step)
        given = (*given, *step)
        newest = step[-1]
        center = (
            newest.position_kji
            if isinstance(newest, PointPrompt)
            else tuple(round((lo + hi) / 2) for lo, hi in newest.bounds_kji)  # type: ignore[union-attr]
        )
        assert torch.equal(encoder.encode(given, before, center), seen[0][0])  # type: ignore[arg-type]


def test_undo_through_the_real_session_restores_mask_prompts_and_weights(model: LoadedModel) -> None:
    image, mask = a_case()
    session = an_adapting_session(model)
    session.set_image(image)
    assert isinstance(session, Session)
    session.add_prompts(STEPS[0])
    start, first = values(model), session.proposal
    second = session.add_prompts(STEPS[1])
    learned = values(model)
    assert second.weights_version == model.version < 0 and not same(start, learned)
    back = session.undo()
    assert np.array_equal(back.mask, first.mask) and same(values(model), start) and model.version == 0
    again = session.redo()
    assert np.array_equal(again.mask, second.mask) and same(values(model), learned)
    assert session.after_confirm(mask) is not None
    session.set_image(image)
    assert model.version < 0, "what was learned from the confirmation stays"
    session.strategy.rollback()
    assert same(values(model), start) and model.version == 0


@pytest.mark.parametrize("name", ["oaims-pi", "evosam", "ia-sa", "tsca"])
def test_every_online_strategy_runs_a_case_and_leaves_the_base_restorable(
    model: LoadedModel, name: str
) -> None:
    image, mask = a_case()
    start = values(model)
    spec = get_strategy(name)
    if isinstance(spec.online, SparseSettings):
        spec = replace(spec, online=replace(spec.online, updates=1))
    strategy = spec.start_online(model)
    assert strategy is not None
    session = AdaptingSession(LocalSession(model), strategy)
    session.set_image(image)
    for step in STEPS[:2]:
        session.add_prompts(step)
    session.after_confirm(mask)
    assert session.last_failure == "" and strategy.history
    assert all(torch.isfinite(v).all() for v in strategy.persisted().values())
    strategy.rollback()
    assert same(values(model), start) and model.version == 0


def test_strategies_without_an_online_part_start_none(model: LoadedModel) -> None:
    assert get_strategy("clopa-in").start_online(model) is None

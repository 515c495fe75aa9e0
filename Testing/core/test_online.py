"""Learning between clicks: what it changes, what it must not change, and how it is taken back."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn

from clopa_annotator.episode.encoding import EncodingRules
from clopa_annotator.errors import ConfigError, NoImage, NonFiniteLoss, NothingToUndo, PredictionFailed
from clopa_annotator.geometry import Geometry
from clopa_annotator.online.baselines import SparseAdaptation
from clopa_annotator.online.inputs import (
    CanvasEncoder,
    centre_of,
    deepest_voxel,
    error_clicks,
    inner_click,
    paste,
    patch_clicks,
)
from clopa_annotator.online.oaims import Oaims
from clopa_annotator.online.protocol import Interaction, OnlineStrategy
from clopa_annotator.online.session import AdaptingSession
from clopa_annotator.online.settings import OaimsSettings, SparseSettings, StepSettings
from clopa_annotator.online.weights import OnlineWeights
from clopa_annotator.session.protocol import Session
from clopa_annotator.types import (
    BoxPrompt,
    Image,
    Mask,
    MaskPrompt,
    PointPrompt,
    Prompt,
    PromptKind,
    Proposal,
    ScribblePrompt,
)

SIDE = 16
FAST = StepSettings(learning_rate=1e-2, autocast=False)


@dataclass
class TinyModel:
    """A network of two convolutions with what `AdaptableModel` asks for."""

    network: nn.Module
    lock: threading.RLock = field(default_factory=threading.RLock)  # type: ignore[valid-type]
    version: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


def a_model(seed: int = 0) -> TinyModel:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv3d(8, 4, 3, padding=1), nn.InstanceNorm3d(4, affine=True), nn.LeakyReLU(), nn.Conv3d(4, 2, 1)
    )
    return TinyModel(network.eval())


def a_case() -> tuple[Image, Mask]:
    """A bright 6^3 cube in noise."""
    rng = np.random.default_rng(0)
    mask = np.zeros((SIDE, SIDE, SIDE), np.uint8)
    mask[5:11, 5:11, 5:11] = 1
    voxels = (rng.normal(10, 1, mask.shape) + 5 * mask).astype(np.float32)
    return Image(voxels, Geometry(mask.shape)), mask


def an_encoder() -> CanvasEncoder:
    return CanvasEncoder(EncodingRules((SIDE, SIDE, SIDE), 0.98, 2))


def values(model: TinyModel) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.network.parameters()]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


class TinySession:
    """A session without nnInteractive: one patch, masks of whole states for undo; enough for the wrapper."""

    def __init__(self, model: TinyModel) -> None:
        self.model, self.encoder = model, an_encoder()
        self.fail_next = False
        self._states: list[tuple[tuple[Prompt, ...], Proposal]] = []
        self._undone: list[tuple[tuple[Prompt, ...], Proposal]] = []

    supported = frozenset({PromptKind.POINT})
    licence = "none"

    @property
    def weights_version(self) -> int:
        return self.model.version

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        return self._states[-1][0] if self._states else ()

    @property
    def proposal(self) -> Proposal:
        if not self._states:
            raise NoImage("none")
        return self._states[-1][1]

    @property
    def can_undo(self) -> bool:
        return len(self._states) > 1

    @property
    def can_redo(self) -> bool:
        return bool(self._undone)

    def set_image(self, image: Image) -> None:
        self.encoder.set_image(image.voxels)
        empty = np.zeros(image.geometry.shape_kji, np.uint8)
        self._states, self._undone = [((), Proposal(empty, None, self.model.version, 0))], []

    def add_prompt(self, prompt: Prompt) -> Proposal:
        return self.add_prompts((prompt,))

    def add_prompts(self, prompts: Sequence[Prompt]) -> Proposal:
        older, proposal = self._states[-1]
        if self.fail_next:
            raise PredictionFailed("asked to fail")
        given = (*older, *prompts)
        center = centre_of(prompts[-1])
        assert center is not None
        with self.model.lock, torch.inference_mode():
            logits = self.model.network(self.encoder.encode(given, proposal.mask, center)[None])[0]
        patch = (logits[1] > logits[0]).to(torch.uint8).numpy()
        mask = paste(patch, proposal.mask, center)
        self._undone = []
        self._states.append((given, Proposal(mask, None, self.model.version, len(self._states))))
        return self.proposal

    def undo(self) -> Proposal:
        if not self.can_undo:
            raise NothingToUndo("none")
        self._undone.append(self._states.pop())
        return self.proposal

    def redo(self) -> Proposal:
        self._states.append(self._undone.pop())
        return self.proposal

    def reset(self) -> Proposal:
        empty = np.zeros_like(self.proposal.mask)
        self._states.append(((), Proposal(empty, None, self.model.version, len(self._states))))
        return self.proposal

    def close(self) -> None:
        self._states = []


def an_adapting_session(settings: OaimsSettings) -> tuple[TinyModel, AdaptingSession, Oaims]:
    model = a_model()
    strategy = Oaims(model, an_encoder(), settings)
    return model, AdaptingSession(TinySession(model), strategy), strategy


BOTH = OaimsSettings(group="all", post_step=FAST, mid_step=FAST)


# --- from masks to clicks -----------------------------------------------------------------------------------


def test_error_clicks_take_the_largest_component_first_and_the_sign_of_the_error() -> None:
    reference, prediction = np.zeros((2, 12, 12, 12), np.uint8)
    reference[0:3, 0:3, 0:3] = 1  # 27 voxels missed
    prediction[6:11, 6:11, 6:11] = 1  # 125 too many
    reference[0, 11, 11] = 1  # 1 missed
    clicks = error_clicks(prediction, reference, 10)
    assert clicks == (
        PointPrompt((8, 8, 8), False),
        PointPrompt((1, 1, 1), True),
        PointPrompt((0, 11, 11), True),
    )
    assert error_clicks(prediction, reference, 1) == clicks[:1]
    assert error_clicks(reference, reference, 10) == ()


def test_the_deepest_voxel_of_a_cube_is_its_middle() -> None:
    region = np.zeros((7, 7, 7), bool)
    region[1:6, 1:6, 1:6] = True
    assert deepest_voxel(region) == (3, 3, 3)
    assert inner_click(region.astype(np.uint8)) == PointPrompt((3, 3, 3))
    assert inner_click(np.zeros((3, 3, 3), np.uint8)) is None


def test_every_prompt_has_a_place_and_only_drawn_ones_say_what_a_voxel_is() -> None:
    drawn = np.zeros((1, 3, 3), np.uint8)
    drawn[0, 1] = 1
    scribble = ScribblePrompt(drawn, ((4, 5), (6, 9), (2, 5)), False)
    box = BoxPrompt(((4, 5), (0, 10), (2, 8)))
    prompts = (PointPrompt((8, 8, 8)), scribble, box, MaskPrompt(np.zeros((2, 2, 2), np.uint8)))
    assert [centre_of(p) for p in prompts] == [(8, 8, 8), (4, 7, 3), (4, 4, 4), None]
    clicks = patch_clicks(prompts, (8, 8, 8), (SIDE,) * 3)
    assert [(c.position_kji, c.positive) for c in clicks] == [((8, 8, 8), True), ((4, 7, 3), False)]


def test_the_encoder_draws_prompts_after_the_last_mask_and_needs_an_image() -> None:
    encoder = an_encoder()
    with pytest.raises(NoImage, match="set one first"):
        encoder.encode((), np.zeros((SIDE,) * 3, np.uint8), (8, 8, 8))
    image, mask = a_case()
    encoder.set_image(image.voxels)
    click = PointPrompt((8, 8, 8))
    fresh = encoder.encode((click,), mask, (8, 8, 8))
    replaced = encoder.encode((PointPrompt((1, 1, 1)), MaskPrompt(mask), click), mask, (8, 8, 8))
    assert torch.equal(fresh, replaced)
    assert torch.equal(fresh[1], torch.from_numpy(mask).float())
    assert fresh[4].max() == 1 and not fresh[5:].any()


# --- the states of the weights ------------------------------------------------------------------------------


def test_provisional_weights_are_numbered_downwards_and_can_be_returned_to() -> None:
    model = a_model()
    weights = OnlineWeights(model, "all")
    original = values(model)
    with torch.no_grad():
        next(model.network.parameters()).add_(1)
    assert weights.commit(persist=False) == -1 == model.version
    changed = values(model)
    assert weights.return_to(0) and same(values(model), original) and model.version == 0
    assert weights.return_to(-1) and same(values(model), changed) and model.version == -1
    weights.start_case()
    assert model.version == 0 and same(values(model), original), "what was learned in a case ends with it"
    assert not weights.return_to(-1)


def test_persistent_weights_outlive_the_case_and_a_rollback_ends_them() -> None:
    model = a_model()
    weights = OnlineWeights(model, "all")
    original = values(model)
    with torch.no_grad():
        next(model.network.parameters()).add_(1)
    weights.commit(persist=True)
    changed = values(model)
    weights.start_case()
    assert same(values(model), changed) and model.version == -1 and weights.parent_version == 0
    weights.rollback()
    assert same(values(model), original) and model.version == 0


def test_registering_gives_the_persistent_weights_their_number() -> None:
    model = a_model()
    weights = OnlineWeights(model, "all")
    with torch.no_grad():
        next(model.network.parameters()).add_(1)
    weights.commit(persist=True)
    changed = values(model)
    weights.registered(7)
    assert model.version == 7 and weights.parent_version == 7
    weights.rollback()
    assert same(values(model), changed), "seven is what a rollback returns to now"


def test_a_swap_by_someone_else_is_noticed_and_built_upon() -> None:
    model = a_model()
    weights = OnlineWeights(model, "all")
    weights.commit(persist=True)
    with torch.no_grad():
        next(model.network.parameters()).add_(5)
    model.version = 3
    swapped = values(model)
    assert weights.start_case()
    assert same(values(model), swapped) and model.version == 3 and weights.parent_version == 3


def test_old_states_within_a_case_are_dropped_when_memory_is_short() -> None:
    model = a_model()
    size = sum(p.numel() * p.element_size() for p in model.network.parameters())
    weights = OnlineWeights(model, "all", keep_bytes=3 * size)
    for _ in range(6):
        weights.commit(persist=False)
    assert not weights.return_to(-2)
    assert weights.return_to(-6) and weights.return_to(0)


# --- PI and MI ----------------------------------------------------------------------------------------------


def test_confirming_the_same_case_again_and_again_lowers_the_loss() -> None:
    model = a_model()
    image, mask = a_case()
    strategy = Oaims(model, an_encoder(), BOTH)
    assert isinstance(strategy, OnlineStrategy)
    for _ in range(15):
        strategy.start_case()
        update = strategy.after_confirm(image, (PointPrompt((8, 8, 8)),), mask)
        assert update is not None and update.kind == "post" and update.provisional == model.version < 0
    history = strategy.history
    assert history[-1].loss < 0.7 * history[0].loss
    assert history[0].backward_passes == 2, "one pass per stage, as the paper counts"
    assert {u.parent_version for u in history} == {0}


def test_the_second_stage_is_left_out_when_the_first_made_no_error() -> None:
    model = a_model()
    image, mask = a_case()
    full = np.ones_like(mask)
    with torch.no_grad():
        last = list(model.network.parameters())[-1]
        last.copy_(torch.tensor([-50.0, 50.0]))
    update = Oaims(model, an_encoder(), BOTH).after_confirm(image, (PointPrompt((8, 8, 8)),), full)
    assert update is not None and update.backward_passes == 1


def test_nothing_is_learned_from_an_empty_mask_and_an_imported_one_needs_no_click() -> None:
    image, mask = a_case()
    strategy = Oaims(a_model(), an_encoder(), BOTH)
    assert strategy.after_confirm(image, (), np.zeros_like(mask)) is None
    assert strategy.after_confirm(image, (), mask) is not None


def test_only_the_chosen_group_changes() -> None:
    model = a_model()
    image, mask = a_case()
    before = values(model)
    strategy = Oaims(model, an_encoder(), OaimsSettings(group="in", post_step=FAST))
    strategy.after_confirm(image, (PointPrompt((8, 8, 8)),), mask)
    changed = [not torch.equal(a, b) for a, b in zip(before, values(model), strict=True)]
    assert changed == [False, False, True, True, False, False]
    assert set(strategy.persisted()) == {"1.weight", "1.bias"}
    assert all(p.grad is None for p in model.network.parameters())


def test_the_first_click_teaches_nothing_and_the_second_changes_what_is_shown_and_its_version() -> None:
    model, session, strategy = an_adapting_session(BOTH)
    image, _ = a_case()
    session.set_image(image)
    assert session.add_prompt(PointPrompt((8, 8, 8))).weights_version == 0
    second = session.add_prompt(PointPrompt((2, 2, 2), False))
    assert second.weights_version == -1 == model.version == session.weights_version
    assert [u.kind for u in strategy.history] == ["mid"]
    assert len(session.prompts) == 2, "predicting again does not add the click twice"


def test_the_click_update_follows_the_equation() -> None:
    """One plain gradient step on DF(P_{t-1}, pseudo) + beta CCG, worked out independently of the strategy."""
    from clopa_annotator.online.losses import PatchClick, adaptation_loss
    from clopa_annotator.online.settings import LossSettings

    rate = 0.05
    settings = OaimsSettings(post=False, mid_step=StepSettings("sgd", rate, autocast=False))
    model, session, _ = an_adapting_session(settings)
    twin = a_model()
    image, _ = a_case()
    encoder = an_encoder()
    encoder.set_image(image.voxels)
    first, newest = PointPrompt((8, 8, 8)), PointPrompt((2, 3, 4), False)
    session.set_image(image)
    after_first = session.add_prompt(first).mask
    session.add_prompt(newest)

    center = newest.position_kji
    with torch.no_grad():
        logits = twin.network(encoder.encode((first, newest), after_first, center)[None])[0]
    bounds_low = [c - SIDE // 2 for c in center]
    shown = paste((logits[1] > logits[0]).to(torch.uint8).numpy(), after_first, center)
    padded = np.pad(shown, SIDE)
    pseudo = torch.from_numpy(padded[tuple(slice(b + SIDE, b + 2 * SIDE) for b in bounds_low)].copy())
    click = PatchClick((SIDE // 2,) * 3, False)
    student = twin.network(encoder.encode((first,), np.zeros_like(shown), center)[None])[0]
    loss = adaptation_loss(student, pseudo, [click], LossSettings())
    loss.backward()
    for mine, theirs in zip(twin.network.parameters(), model.network.parameters(), strict=True):
        assert mine.grad is not None
        torch.testing.assert_close(mine.detach() - rate * mine.grad, theirs.detach(), rtol=1e-5, atol=1e-7)


def test_undo_takes_the_weights_back_and_redo_brings_them_again() -> None:
    model, session, _ = an_adapting_session(BOTH)
    image, _ = a_case()
    session.set_image(image)
    session.add_prompt(PointPrompt((8, 8, 8)))
    start = values(model)
    second = session.add_prompt(PointPrompt((2, 2, 2), False))
    learned = values(model)
    third = session.add_prompt(PointPrompt((12, 12, 12), False))
    assert [second.weights_version, third.weights_version] == [-1, -2]
    assert np.array_equal(session.undo().mask, second.mask) and same(values(model), learned)
    session.undo()
    assert same(values(model), start) and model.version == 0
    session.redo()
    assert same(values(model), learned) and model.version == -1
    redone = session.redo()
    assert np.array_equal(redone.mask, third.mask) and model.version == -2


def test_after_undo_another_click_learns_from_the_state_that_was_returned_to() -> None:
    model, session, strategy = an_adapting_session(BOTH)
    image, _ = a_case()
    session.set_image(image)
    session.add_prompt(PointPrompt((8, 8, 8)))
    session.add_prompt(PointPrompt((2, 2, 2), False))
    session.undo()
    assert session.add_prompt(PointPrompt((3, 3, 3), False)).weights_version == -2
    once = values(model)
    other, other_session, _ = an_adapting_session(BOTH)
    other_session.set_image(image)
    other_session.add_prompt(PointPrompt((8, 8, 8)))
    other_session.add_prompt(PointPrompt((3, 3, 3), False))
    moments_differ = not same(values(other), once)
    assert moments_differ or len(strategy.history) == 2
    assert not session.can_redo


def test_mid_updates_end_with_the_case_and_post_updates_start_from_its_beginning() -> None:
    def post_weights(clicks: int) -> list[torch.Tensor]:
        model, session, _ = an_adapting_session(BOTH)
        image, mask = a_case()
        session.set_image(image)
        session.add_prompt(PointPrompt((8, 8, 8)))
        for n in range(clicks):
            session.add_prompt(PointPrompt((1 + n, 2, 2), False))
        assert session.after_confirm(mask) is not None
        session.set_image(image)
        return values(model)

    assert same(post_weights(0), post_weights(2))


def test_a_reset_starts_a_new_localisation_and_can_be_undone() -> None:
    model, session, strategy = an_adapting_session(BOTH)
    image, _ = a_case()
    session.set_image(image)
    session.add_prompt(PointPrompt((8, 8, 8)))
    session.add_prompt(PointPrompt((2, 2, 2), False))
    session.reset()
    session.add_prompt(PointPrompt((8, 8, 8)))
    assert len(strategy.history) == 1, "the first click after a reset teaches nothing"
    session.undo()
    session.undo()
    assert len(session.prompts) == 2 and model.version == -1


def test_a_loss_that_is_not_finite_costs_no_click_and_no_weight() -> None:
    model, session, _ = an_adapting_session(BOTH)
    image, mask = a_case()
    session.set_image(image)
    session.add_prompt(PointPrompt((8, 8, 8)))
    before = values(model)
    model.network.register_forward_hook(lambda _m, _i, out: out * float("nan") if out.requires_grad else out)
    proposal = session.add_prompt(PointPrompt((2, 2, 2), False))
    assert proposal.weights_version == 0 and same(values(model), before)
    assert "not finite" in session.last_failure
    assert session.after_confirm(mask) is None and same(values(model), before)
    with pytest.raises(NonFiniteLoss, match="as before"):
        session.strategy.after_confirm(image, (PointPrompt((8, 8, 8)),), mask)


def test_if_predicting_again_fails_the_first_answer_stands_with_its_weights() -> None:
    model, session, strategy = an_adapting_session(BOTH)
    image, _ = a_case()
    inner = session._session
    assert isinstance(inner, TinySession)
    session.set_image(image)
    session.add_prompt(PointPrompt((8, 8, 8)))
    before = values(model)
    learn = strategy.after_click

    def learn_then_break(step: Interaction) -> object:
        inner.fail_next = True
        return learn(step)

    strategy.after_click = learn_then_break  # type: ignore[method-assign, assignment]
    proposal = session.add_prompt(PointPrompt((2, 2, 2), False))
    assert proposal.weights_version == 0 and len(session.prompts) == 2
    assert same(values(model), before) and "asked to fail" in session.last_failure


def test_predictions_in_inference_mode_do_not_spoil_learning() -> None:
    model, session, _ = an_adapting_session(BOTH)
    image, mask = a_case()
    with torch.inference_mode():
        session.set_image(image)
        session.add_prompt(PointPrompt((8, 8, 8)))
        session.add_prompt(PointPrompt((2, 2, 2), False))
        session.after_confirm(mask)
    assert session.last_failure == ""
    assert not any(p.is_inference() for p in model.network.parameters())


def test_an_adapting_session_is_a_session() -> None:
    session = an_adapting_session(BOTH)[1]
    session.set_image(a_case()[0])
    assert isinstance(session, Session)


# --- the two earlier methods --------------------------------------------------------------------------------


def a_baseline(method: str, **changes: float) -> tuple[TinyModel, AdaptingSession, SparseAdaptation]:
    model = a_model()
    settings = SparseSettings(method, "all", StepSettings(learning_rate=1e-3), updates=3, **changes)  # type: ignore[arg-type]
    strategy = SparseAdaptation(model, an_encoder(), settings)
    return model, AdaptingSession(TinySession(model), strategy), strategy


@pytest.mark.parametrize("method", ["ia-sa", "tsca"])
def test_the_sparse_methods_learn_the_clicked_voxels_and_forget_the_image(method: str) -> None:
    model, session, strategy = a_baseline(method, sparse_share=1.0)
    assert isinstance(strategy, OnlineStrategy)
    image, _ = a_case()
    session.set_image(image)
    session.add_prompt(PointPrompt((8, 8, 8)))
    start = values(model)
    for n in range(4):
        session.add_prompt(PointPrompt((2, 2, 2 + n), False))
    losses = [u.loss for u in strategy.history]
    assert losses[-1] < losses[0] and {u.backward_passes for u in strategy.history} == {3}
    session.set_image(image)
    assert same(values(model), start)


def test_the_sequence_learns_from_the_final_mask_and_is_held_by_its_anchor() -> None:
    def moved(anchor: float) -> float:
        model, session, _ = a_baseline("ia-sa", anchor=anchor)
        image, mask = a_case()
        before = values(model)
        session.set_image(image)
        session.add_prompt(PointPrompt((8, 8, 8)))
        assert session.after_confirm(mask) is not None
        return sum(float((a - b).abs().sum()) for a, b in zip(before, values(model), strict=True))

    assert 0 < moved(1e6) < moved(0.0)


def test_the_teacher_follows_the_student_by_the_rest_of_its_momentum() -> None:
    model, session, strategy = a_baseline("tsca", momentum=0.75)
    image, mask = a_case()
    session.set_image(image)
    teacher = values(model)
    session.add_prompt(PointPrompt((8, 8, 8)))
    assert session.after_confirm(mask) is None, "a student that learned nothing moves no teacher"
    session.add_prompt(PointPrompt((2, 2, 2), False))
    student = values(model)
    update = session.after_confirm(mask)
    assert update is not None and update.backward_passes == 0
    for t, s, now in zip(teacher, student, values(model), strict=True):
        torch.testing.assert_close(now, 0.75 * t + 0.25 * s)
    assert strategy.weights.persistent.version == model.version


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="PI, MI or both"):
        OaimsSettings(post=False, mid=False)
    with pytest.raises(ConfigError, match="learning rate"):
        StepSettings(learning_rate=0)
    with pytest.raises(ConfigError, match="at least one update"):
        SparseSettings(updates=0)
    with pytest.raises(ConfigError, match="no optimiser"):
        StepSettings("lion")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="autocast"):
        StepSettings(autocast="bf16")  # type: ignore[arg-type]


def test_whoever_puts_the_registered_version_back_gets_it_and_not_what_was_learned_since() -> None:
    model = a_model()
    image, mask = a_case()
    strategy = Oaims(model, an_encoder(), BOTH)
    before = [p.detach().clone() for p in model.network.parameters()]
    strategy.start_case()
    strategy.after_confirm(image, (PointPrompt((8, 8, 8)),), mask)
    assert model.version < 0
    with torch.no_grad():  # what a swap to version 0 does: to roll back, or to measure it
        for parameter, value in zip(model.network.parameters(), before, strict=True):
            parameter.copy_(value)
    model.version = 0
    strategy.start_case()
    assert model.version == 0 and strategy.weights.persistent.version == 0
    assert all(torch.equal(p, b) for p, b in zip(model.network.parameters(), before, strict=True))

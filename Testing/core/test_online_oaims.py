"""PI and MI: what they change, what they must not change, and how it is taken back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_online import (
    BOTH,
    FAST,
    SIDE,
    TinySession,
    a_case,
    a_model,
    an_adapting_session,
    an_encoder,
    same,
    values,
)

from clopa_annotator.errors import NonFiniteLoss
from clopa_annotator.online.inputs import paste
from clopa_annotator.online.oaims import Oaims
from clopa_annotator.online.online_settings import OaimsSettings, StepSettings
from clopa_annotator.online.strategy import Interaction, OnlineStrategy
from clopa_annotator.session.protocol import Session
from clopa_annotator.types import PointPrompt


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
    from clopa_annotator.online.online_settings import LossSettings

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


@pytest.mark.parametrize("persists", [False, True])
def test_mid_updates_end_with_the_case_only_in_our_variant(persists: bool) -> None:
    """In ours, PI starts from the case's beginning; as published, from what its clicks have taught."""

    def post_weights(clicks: int) -> list[torch.Tensor]:
        model, session, _ = an_adapting_session(replace(BOTH, mid_persists=persists))
        image, mask = a_case()
        session.set_image(image)
        session.add_prompt(PointPrompt((8, 8, 8)))
        for n in range(clicks):
            session.add_prompt(PointPrompt((1 + n, 2, 2), False))
        assert session.after_confirm(mask) is not None
        session.set_image(image)
        return values(model)

    assert same(post_weights(0), post_weights(2)) is not persists


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


@pytest.mark.parametrize("post", [True, False])
def test_what_a_case_teaches_by_its_clicks_stays_only_if_it_is_confirmed(post: bool) -> None:
    """Else a case that is measured, or held out, would be learned from."""
    settings = OaimsSettings(group="all", post=post, mid_persists=True, post_step=FAST, mid_step=FAST)
    model, session, strategy = an_adapting_session(settings)
    image, mask = a_case()
    before = values(model)

    def click() -> None:
        session.set_image(image)
        session.add_prompt(PointPrompt((8, 8, 8)))
        session.add_prompt(PointPrompt((2, 2, 2), False))

    click()
    within = values(model)
    assert not same(within, before), "within the case it learns"
    strategy.start_case()
    assert same(values(model), before), "and forgets with the case"
    click()
    session.undo()
    session.redo()
    session.after_confirm(mask)
    learned = values(model)
    strategy.start_case()
    assert same(values(model), learned) and not same(learned, before)
    assert same(learned, within) is not post

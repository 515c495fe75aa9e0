"""The two earlier methods: sparse adaptation from the clicked voxels."""

from __future__ import annotations

import pytest
import torch
from tiny_online import TinyModel, TinySession, a_case, a_model, an_encoder, same, values

from clopa_annotator.online.adapting_session import AdaptingSession
from clopa_annotator.online.baselines import SparseAdaptation
from clopa_annotator.online.online_settings import SparseSettings, StepSettings
from clopa_annotator.online.strategy import OnlineStrategy
from clopa_annotator.types import PointPrompt


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

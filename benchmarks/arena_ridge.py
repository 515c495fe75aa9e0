"""What EvoSAM's statistics promise: the order of cases does not matter, and a new expert changes no other."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clopa_annotator.datasets import LabelledCase
from clopa_annotator.evaluation.annotator import SimulatedAnnotator, case_rng
from clopa_annotator.experts.head import RidgeHead, solve_head
from clopa_annotator.experts.library import ExpertLibrary
from clopa_annotator.online.inputs import CanvasEncoder, rules_of
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.strategies import get_strategy
from clopa_annotator.swap import apply_version


def ridge_study(model: LoadedModel, stream: Sequence[LabelledCase], seed: int) -> dict[str, Any]:
    """Does the head forget, and does a tenth expert change the nine?

    Args:
        model: base model; it holds other weights afterwards.
        stream: cases to learn from.
        seed: of the clicks and of the experts.
    """
    forward, backward = _head(model, stream, seed), _head(model, list(reversed(stream)), seed)
    settings = get_strategy("evosam").online
    one, _ = solve_head(forward.ridge, settings)  # type: ignore[arg-type]
    other, _ = solve_head(backward.ridge, settings)  # type: ignore[arg-type]
    largest = float(np.abs(one.weights).max())
    return {
        "cases": len(stream),
        "order_changes_weights_by": float(np.abs(one.weights - other.weights).max()) / largest,
        "experts_changed_by_a_tenth": _changed_experts(model, stream[0], seed),
    }


def _head(model: LoadedModel, stream: Sequence[LabelledCase], seed: int) -> RidgeHead:
    """A head that saw the stream in this order, on the base's features."""
    apply_version(model, model.base_state(), None, 0)
    encoder = CanvasEncoder(rules_of(model.artifacts, model.patch_size_kji))
    # Without corrections the inputs do not depend on what was learned before: order alone is compared.
    settings = replace(get_strategy("evosam").online, corrections=0)  # type: ignore[type-var]
    head = RidgeHead(model, encoder, settings)  # type: ignore[arg-type]
    for case in stream:
        image, mask = case.read()
        first = SimulatedAnnotator(case_rng(seed, 0, case.case_id), "oaims").initial(mask)
        head.start_case()
        head.after_confirm(image, first, mask, len(first))
    return head


def _changed_experts(model: LoadedModel, case: LabelledCase, seed: int) -> int:
    """How many of nine experts answer with other voxels after a tenth was added."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return _changed_in(Path(folder), model, case, seed)


def _changed_in(folder: Path, model: LoadedModel, case: LabelledCase, seed: int) -> int:
    library = ExpertLibrary.create(folder, model.model_hash)
    rng = np.random.default_rng(seed)
    base = model.base_state()
    norms = [name for name in base if "norm" in name or base[name].ndim == 1]

    def add(number: int) -> str:
        scale = 1 + 0.2 * rng.standard_normal()
        delta = {name: base[name] * scale for name in norms}
        return library.add(f"expert {number}", delta, licence=model.licence).expert_id

    names = [add(number) for number in range(9)]
    before = [_answer(model, library, name, case) for name in names]
    add(9)
    after = [_answer(model, ExpertLibrary.open(folder), name, case) for name in names]
    return sum(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def _answer(model: LoadedModel, library: ExpertLibrary, name: str, case: LabelledCase) -> Any:
    apply_version(model, model.base_state(), library.delta(name), 1)
    image, mask = case.read()
    session = LocalSession(model, cpu_precision=best_cpu_precision())
    session.set_image(image)
    first = SimulatedAnnotator(case_rng(0, 0, case.case_id), "oaims").initial(mask)
    return session.add_prompts(first).mask.copy()

"""Strategies that learn between clicks, with two targets through an engine: nothing of one reaches the other.

The same clicks on the same images are given to a campaign of two targets, going from one to the other after
every click, and to campaigns of one target each. Every answer must be the same voxels of the same version, so
no weight that was adapted to one target may be in the network when the other is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_support import OWNER, an_image, make_campaign, serving
from switch_race import wait_for

from clopa_annotator.client.http_client import HttpEngineClient
from clopa_annotator.strategies import SPECS
from clopa_annotator.testing.random_model import write_random_model
from clopa_annotator.types import Confirmation, Mask, PointPrompt, Slot, Target, Targets

SHAPE = (24, 26, 22)
BOTH = Targets([Target("liver"), Target("kidney", "kidney", overlaps=True)])
LIVER, KIDNEY = Slot(), Slot("kidney")
CLICKS = {
    LIVER: (PointPrompt((12, 14, 10)), PointPrompt((5, 6, 8), False)),
    KIDNEY: (PointPrompt((8, 9, 16)), PointPrompt((18, 20, 5), False)),
}
CASES = 2
ONLINE = [spec.name for spec in SPECS if spec.online is not None]
QUICK = ("oaims", "oaims-ours", "evosam")
"""One of each kind: what a click teaches stays, ends with its case, or only confirmations teach."""

Answers = dict[Slot, list[tuple[int, Mask]]]
"""Version and mask of each answer, by the slot that was asked."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("model")
    return write_random_model(folder, patch_size_kji=(52, 52, 52), features=(4, 8))


def a_mask(slot: Slot) -> Mask:
    mask = np.zeros(SHAPE, np.uint8)
    k, j, i = CLICKS[slot][0].position_kji
    mask[k - 4 : k + 5, j - 4 : j + 5, i - 4 : i + 5] = 1
    return mask


def annotate(folder: Path, model: Path, strategy: str, slots: Sequence[Slot], returns: bool) -> Answers:
    """Click through some cases, one click on each slot in turn; confirm each slot at the end of its case.

    Args:
        folder: for the campaign.
        model: base model.
        strategy: how it learns.
        slots: what is annotated; a campaign of one target calls it its first.
        returns: undo and redo after the last click, and choose the slot anew before it is confirmed.
    """
    targets = BOTH if len(slots) > 1 else Targets([Target("only")])
    asked = {slot: slot if len(slots) > 1 else LIVER for slot in slots}
    answers: Answers = {slot: [] for slot in slots}
    with serving(make_campaign(folder / "c", model, strategy=strategy, targets=targets)) as running:
        client = HttpEngineClient(running.url, OWNER, folder / "kept")
        for number in range(CASES):
            case = f"case {number}"
            wait_for(client, client.open_case(case, an_image(number, SHAPE), slot=asked[slots[0]]))
            for click in range(len(CLICKS[LIVER])):
                for slot in slots:
                    choose(client, asked, slot)
                    note(answers[slot], wait_for(client, client.add_prompts([CLICKS[slot][click]])))
            for slot in slots if returns else ():
                choose(client, asked, slot)
                note(answers[slot], wait_for(client, client.undo()))
                note(answers[slot], wait_for(client, client.redo()))
            for slot in slots:
                choose(client, asked, slot)
                confirmation = Confirmation(
                    f"{case} {slot.target}", case, a_mask(slot), annotator="Ada", slot=asked[slot]
                )
                wait_for(client, client.confirm(confirmation))
        client.close()
    return answers


def choose(client: HttpEngineClient, asked: dict[Slot, Slot], slot: Slot) -> None:
    if len(asked) > 1:
        wait_for(client, client.choose(asked[slot]))


def note(answers: list[tuple[int, Mask]], answer: object) -> None:
    proposal = answer.proposal
    answers.append((proposal.weights_version, proposal.mask.copy()))


@pytest.mark.parametrize(
    "strategy", [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in ONLINE if n not in QUICK)]
)
def test_a_target_is_answered_as_in_a_campaign_of_its_own(tmp_path: Path, model: Path, strategy: str) -> None:
    together = annotate(tmp_path / "both", model, strategy, (LIVER, KIDNEY), returns=True)
    for slot in (LIVER, KIDNEY):
        alone = annotate(tmp_path / f"alone{slot.target}", model, strategy, (slot,), returns=True)
        assert [version for version, _ in together[slot]] == [version for version, _ in alone[slot]]
        for number, ((_, mask), (_, own)) in enumerate(zip(together[slot], alone[slot], strict=True)):
            assert np.array_equal(mask, own), f"answer {number} of {slot.target or 'liver'}"
    assert any(version < 0 for version, _ in together[LIVER]), "something was learned"


def test_every_strategy_that_learns_between_clicks_is_among_them() -> None:
    assert {"oaims", "oaims-pi", "evosam", "ia-sa", "tsca", "pi-then-clopa"} <= set(ONLINE)

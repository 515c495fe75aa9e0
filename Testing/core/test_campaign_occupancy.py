"""Which voxels a target may not have: those of every other one that excludes it, confirmed or drafted."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clopa_annotator.cache.campaign_store import SlotSummary
from clopa_annotator.campaign.occupancy import Occupancy
from clopa_annotator.errors import CorruptRecord
from clopa_annotator.types import Mask, Slot, Target, Targets

SHAPE = (3, 4, 5)
KEYS = ("", "kidney", "lesion")


@dataclass
class Kept:
    """What a store keeps of one case, in memory."""

    targets: Targets
    drafts: dict[Slot, Mask] = field(default_factory=dict)
    confirmed: dict[Slot, Mask] = field(default_factory=dict)
    damaged: bool = False

    def case(self, _case_id: str) -> SimpleNamespace:
        slots = sorted({*self.drafts, *self.confirmed}, key=lambda s: (s.target, s.instance))
        return SimpleNamespace(
            slots=tuple(
                SlotSummary(s, has_draft=s in self.drafts, sequence=n if s in self.confirmed else None)
                for n, s in enumerate(slots)
            )
        )

    def load_draft(self, _case_id: str, slot: Slot) -> SimpleNamespace:
        return SimpleNamespace(mask=self.drafts[slot])

    def version(self, sequence: int) -> SimpleNamespace:
        return SimpleNamespace(ref=self.case("").slots[sequence].slot)

    def read_mask(self, slot: Slot) -> Mask:
        if self.damaged:
            raise CorruptRecord("The mask is damaged.")
        return self.confirmed[slot]


masks = arrays(np.uint8, SHAPE, elements=st.integers(0, 1))
slots = st.sampled_from([Slot(), Slot("kidney"), Slot("lesion"), Slot("lesion", 2), Slot("lesion", 3)])
stores = st.builds(
    lambda overlaps, drafts, confirmed: Kept(
        Targets(
            Target(key or "liver", key, overlaps=o, instances=key == "lesion")
            for key, o in zip(KEYS, overlaps, strict=True)
        ),
        drafts,
        confirmed,
    ),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.dictionaries(slots, masks),
    st.dictionaries(slots, masks),
)


def of(kept: Kept) -> Occupancy:
    return Occupancy(kept)  # type: ignore[arg-type]


@settings(max_examples=120, deadline=None)
@given(stores, slots)
def test_a_voxel_is_taken_exactly_by_others_that_exclude_the_target(kept: Kept, mine: Slot) -> None:
    taken = of(kept).taken("case", mine)
    expected = np.zeros(SHAPE, bool)
    for masks_of in (kept.drafts, kept.confirmed):
        for other, mask in masks_of.items():
            one, two = kept.targets.by_key(mine.target), kept.targets.by_key(other.target)
            same_kind = mine.target == other.target
            excludes = mine != other if same_kind else not (one.overlaps or two.overlaps)
            if excludes:
                expected |= mask == 1
    assert np.array_equal(np.zeros(SHAPE, bool) if taken is None else taken, expected)


@settings(max_examples=60, deadline=None)
@given(stores, slots)
def test_others_are_drawn_as_they_are_kept_the_draft_first(kept: Kept, mine: Slot) -> None:
    drawn = dict(of(kept).others("case", mine))
    wanted = {s: m for s, m in {**kept.confirmed, **kept.drafts}.items() if s != mine and m.any()}
    assert drawn.keys() == wanted.keys()
    assert all(np.array_equal(drawn[s], wanted[s]) for s in drawn)


def test_its_stamp_changes_with_the_others_and_with_the_targets_alone() -> None:
    occupancy = of(Kept(Targets([Target("liver")])))
    before = occupancy.stamp("case", Slot())
    occupancy.changed("case", Slot())
    occupancy.changed("another case", Slot("kidney"))
    assert occupancy.stamp("case", Slot()) == before
    occupancy.changed("case", Slot("kidney"))
    changed = occupancy.stamp("case", Slot())
    occupancy.targets_changed()
    assert len({before, changed, occupancy.stamp("case", Slot())}) == 3


def test_a_damaged_mask_takes_no_voxels_and_stops_nobody() -> None:
    whole = np.ones(SHAPE, np.uint8)
    kept = Kept(Targets.named(["liver", "kidney"]), {}, {Slot("kidney"): whole}, damaged=True)
    assert of(kept).taken("case", Slot()) is None and of(kept).others("case", Slot()) == ()

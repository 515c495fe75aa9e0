"""What a campaign's targets allow: changes of the list, and masks beside each other."""

from __future__ import annotations

import logging

import numpy as np

from clopa_annotator.cache.drafts import DraftList
from clopa_annotator.cache.index import Index
from clopa_annotator.cache.reader import CampaignReader
from clopa_annotator.errors import ConfigError, CorruptRecord, InputError
from clopa_annotator.geometry import bounding_box, box_slices
from clopa_annotator.types import Mask, Slot, Target, Targets

logger = logging.getLogger(__name__)


def check_change(index: Index, drafts: DraftList, before: Targets, after: Targets) -> None:
    """Refuse a change of the list of targets after which something would have no place.

    Raises:
        ConfigError: the first target is gone.
        InputError: one that has records or drafts is gone; or several of a kind are to be one while there
            are several.
    """
    kept = {target.key: target for target in after}
    used = _used(index, drafts)
    for target in before:
        there = [n for (key, instance), n in used.items() if key == target.key]
        others = [n for (key, instance), n in used.items() if key == target.key and instance > 1]
        if target.key not in kept and not target.key:
            raise ConfigError(
                f"{target.name} is the campaign's first target and cannot be removed. Rename it instead."
            )
        if target.key not in kept and there:
            raise InputError(
                f"{target.name} cannot be removed: the campaign keeps {_in_words(there)} of it. "
                "Leave it in the list, or rename it."
            )
        if target.key in kept and not kept[target.key].instances and others:
            raise InputError(
                f"{target.name} has to stay one of which there may be several: the campaign keeps "
                f"{_in_words(others)} of further ones."
            )


_Used = tuple[int, int, int]
"""Versions, marks, drafts."""


def _used(index: Index, drafts: DraftList) -> dict[tuple[str, int], _Used]:
    """What there is of each target and instance."""
    rows = index.rows(
        "SELECT target, instance, sum(versions), sum(marks) FROM slots GROUP BY target, instance"
        " HAVING sum(versions) + sum(marks) > 0"
    )
    found: dict[tuple[str, int], _Used] = {(r[0], r[1]): (r[2], r[3], 0) for r in rows}
    for slot in drafts.slots_with_work():
        versions, marks, count = found.get((slot.target, slot.instance), (0, 0, 0))
        found[slot.target, slot.instance] = (versions, marks, count + 1)
    return found


def _in_words(used: list[_Used]) -> str:
    sums = [sum(column) for column in zip(*used, strict=True)]
    words = ("confirmed version", "decision", "draft")
    parts = [f"{n} {word}{'s' if n > 1 else ''}" for n, word in zip(sums, words, strict=True) if n]
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def refuse_overlap(store: CampaignReader, case_id: str, slot: Slot, mask: Mask) -> None:
    """Make sure that a mask takes no voxel of a confirmed one that excludes it.

    Raises:
        InputError: it does; the sentence names the targets and the number of voxels.
    """
    bounds = bounding_box(mask)
    if bounds is None or _is_alone(store.targets):
        return
    inside = mask[box_slices(bounds)]
    for version in store.current(case_id):
        other = version.ref.slot
        if other.target not in {t.key for t in store.targets}:
            continue
        if store.targets.exclude(slot, other):
            try:
                shared = int(np.count_nonzero(inside & store.read_mask_patch(version.ref, bounds)))
            except CorruptRecord as error:
                # What cannot be read takes no voxels; "clopa cache verify" names it.
                logger.warning("Not compared with a mask that is damaged: %s", error)
                continue
            if shared:
                raise overlap_refused(store.targets, slot, other, shared)


def overlap_refused(targets: Targets, slot: Slot, other: Slot, voxels: int) -> InputError:
    """That a mask takes voxels of another that excludes it, in words."""
    one, two = targets.name_of(slot), targets.name_of(other)
    return InputError(
        f"The mask of {one} takes {voxels} voxels of {two}, which is confirmed. Take them away, "
        f"correct {two} first, or let one of the two overlap others."
    )


def _is_alone(targets: Targets) -> bool:
    first: Target = targets[0]
    return len(targets) == 1 and not first.instances

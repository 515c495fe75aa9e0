"""Many confirmations made durable together: the same promises for each, one wait for the disk for all.

A confirmation by itself waits for the disk about a dozen times, mostly in the index. Here each step is
taken for all of a batch before the next one begins; nothing is acknowledged before everything is durable.
What a kill leaves is what it leaves of single ones: versions that appeared whole are entered by the next
writer, the others are as if they had never been sent.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import numpy as np

from clopa_annotator.cache import drafts
from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cache.confirming import Prepared, check_confirmation, checked_mask, version_files
from clopa_annotator.cache.drafts import CaseDraft
from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.disk import take_back
from clopa_annotator.cache.format.images import image_record
from clopa_annotator.cache.format.layout import sha256, version_path
from clopa_annotator.cache.format.record import CaseRecord
from clopa_annotator.cache.format.several import publish_folders, replace_files
from clopa_annotator.cache.reviewing import replaced_verdict
from clopa_annotator.cache.summaries import ref_from_row
from clopa_annotator.cache.target_rules import overlap_refused, refuse_overlap
from clopa_annotator.errors import CacheError, InputError
from clopa_annotator.types import CaseRef, Confirmation, Slot

Given = TypeVar("Given")
Made = TypeVar("Made")
PACKERS = min(4, os.cpu_count() or 1)
"""Masks that are packed at the same time."""

Version = tuple[str, CaseRecord, dict[str, bytes]]
"""A version's folder, its record and its files."""


def confirm_together(store: CampaignStore, confirmations: Sequence[Confirmation]) -> list[CaseRef]:
    """`CampaignStore.confirm` for several confirmations that nobody based on an earlier version.

    All of them become durable, or, when it raises, none does.

    Args:
        store: open for writing.
        confirmations: each under an id of its own; two of one case become two versions of it.

    Returns:
        Their versions, in order.

    Raises:
        InputError: an id is there twice; and what `CampaignStore.confirm` raises, for any of them.
    """
    if len({c.confirmation_id for c in confirmations}) < len(confirmations):
        raise InputError("Two confirmations of one batch have the same id; send them one by one.")
    ready = _each(lambda confirmation: _prepared(store, confirmation), confirmations)
    with store._change(f"confirm {len(ready)} cases") as writer:
        known = [writer.earlier(prepared) for prepared, _ in ready]
        fresh = [pair for pair, ref in zip(ready, known, strict=True) if ref is None]
        _refuse_overlaps(store, [prepared for prepared, _ in fresh])
        fresh = [(p, replace(r, replaces_accepted=replaced_verdict(store, p.confirmation))) for p, r in fresh]
        if fresh:
            _make_durable(store, _versions(store, fresh))
        for prepared, _ in fresh:
            store._forget_draft(prepared.confirmation.case_id, prepared.confirmation.slot)
        return [ref or _ref(store, p) for (p, _), ref in zip(ready, known, strict=True)]


def _prepared(store: CampaignStore, confirmation: Confirmation) -> tuple[Prepared, CaseRecord]:
    """A confirmation that was checked, and its record without numbers."""
    check_confirmation(confirmation)
    store.targets.of(confirmation.slot)
    digest = store.image_hash(confirmation.case_id)
    values, geometry = image_record(store._layout, digest)
    prepared = Prepared(confirmation, checked_mask(confirmation.mask, geometry.shape_kji), geometry)
    return prepared, prepared.record(store.manifest, digest, values["dtype"])


def _refuse_overlaps(store: CampaignStore, fresh: Sequence[Prepared]) -> None:
    """Compare the masks with the confirmed ones, and with each other; raises `InputError`."""
    of_case: dict[str, list[Prepared]] = {}
    for prepared in fresh:
        sent = prepared.confirmation
        refuse_overlap(store, sent.case_id, sent.slot, prepared.mask)
        for other in of_case.setdefault(sent.case_id, []):
            if not store.targets.exclude(sent.slot, other.confirmation.slot):
                continue
            shared = int(np.count_nonzero(prepared.mask & other.mask))
            if shared:
                raise overlap_refused(store.targets, sent.slot, other.confirmation.slot, shared)
        of_case[sent.case_id].append(prepared)


def _versions(store: CampaignStore, ready: Sequence[tuple[Prepared, CaseRecord]]) -> list[Version]:
    """Numbers for all, and their files."""
    sequence, before = store._index.last_sequence(), Counter[tuple[str, Slot]]()
    numbered = []
    for number, (prepared, record) in enumerate(ready, sequence + 1):
        before[record.case_id, record.slot] += 1
        last = store._index.last_version(record.case_id, record.slot)
        case_version = last + before[record.case_id, record.slot]
        numbered.append((prepared, replace(record, case_version=case_version, sequence=number)))

    def version(pair: tuple[Prepared, CaseRecord]) -> Version:
        complete, files = version_files(*pair, store.targets)
        relative = version_path(complete.case_id, complete.case_version, complete.sequence, complete.slot)
        return relative, complete, files

    return _each(version, numbered)


def _each(function: Callable[[Given], Made], values: Sequence[Given]) -> list[Made]:
    """A function of each value, in order, several at a time: packing and hashing leave the interpreter."""
    with ThreadPoolExecutor(PACKERS) as threads:
        return list(threads.map(function, values))


def _make_durable(store: CampaignStore, versions: Sequence[Version]) -> None:
    """Announce, publish and enter all of them; or take all of them back."""
    layout, index = store._layout, store._index
    folders = [(layout.staged(), layout.path(relative), files) for relative, _, files in versions]
    with index.transaction():
        for relative, record, _ in versions:
            index.announce(relative, record.sequence)
    for _, record, _ in versions:
        layout.make_slot_folders(record.case_id, record.slot)
    publish_folders(layout.disk, folders)
    try:
        with index.transaction():
            for relative, record, files in versions:
                index.add_version(record, sha256(files[names.RECORD]), relative)
                index.settle(relative)
    except (OSError, CacheError):
        if index.rows("SELECT 1 FROM pending WHERE path = ?", versions[0][0]):
            for _, target, _ in folders:
                take_back(layout.disk, layout.staged(), target)
        raise


def _ref(store: CampaignStore, prepared: Prepared) -> CaseRef:
    confirmation_id = prepared.confirmation.confirmation_id
    rows = store._index.rows("SELECT * FROM versions WHERE confirmation_id = ?", confirmation_id)
    return ref_from_row(rows[0])


def save_drafts_together(store: CampaignStore, several: Sequence[CaseDraft]) -> None:
    """`CampaignStore.save_draft` for drafts of different slots.

    When it raises, each slot has its old draft or the new one.

    Raises:
        What `CampaignStore.save_draft` raises, for any of them.
    """
    documents = []
    for draft in several:
        store.targets.of(draft.slot)
        shape = store.geometry(store.image_hash(draft.case_id)).shape_kji
        documents.append((drafts.draft_path(draft.case_id, draft.slot), drafts.document(draft, shape)))
    with store._change(f"save {len(documents)} drafts"):
        layout = store._layout
        replace_files(layout.disk, [(layout.staged(), layout.path(to), data) for to, data in documents])

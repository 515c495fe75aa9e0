"""From a confirmation to a version's files: checks, hashes and documents, without touching the disk."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.chunked import encode_chunked, mask_hash
from clopa_annotator.cache.format.layout import sha256, utc_now
from clopa_annotator.cache.format.manifest import CampaignManifest
from clopa_annotator.cache.format.prompt_json import prompts_to_json
from clopa_annotator.cache.format.record import CaseRecord, imported_to_json, suggestion_to_json
from clopa_annotator.cache.format.segnrrd import encode_seg_nrrd, segment_of
from clopa_annotator.errors import GeometryError, InputError
from clopa_annotator.geometry import Geometry, Kji
from clopa_annotator.types import Confirmation, Mask
from clopa_annotator.types.targets import FIRST, Targets


def checked_mask(mask: np.ndarray[tuple[int, ...], np.dtype[np.generic]], shape_kji: Kji) -> Mask:
    """A mask as a C-ordered uint8 array of 0 and 1.

    Raises:
        GeometryError: another shape than the image.
        InputError: not binary.
    """
    if mask.shape != shape_kji:
        raise GeometryError(f"The mask has {mask.shape} voxels, but the case's image has {shape_kji}.")
    if mask.dtype.kind not in "bui" or (mask.size and (mask.min() < 0 or mask.max() > 1)):
        raise InputError("The mask is not binary: its voxels must be 0 or 1.")
    return np.ascontiguousarray(mask, dtype=np.uint8)


def check_confirmation(confirmation: Confirmation) -> None:
    """Refuse what cannot be stored.

    Raises:
        InputError: an empty id, or a number out of its range.
    """
    names.check_name(confirmation.confirmation_id, "The confirmation id")
    names.check_name(confirmation.case_id, "The case id")
    dice = confirmation.first_shown_dice
    if dice is not None and not 0 <= dice <= 1:
        raise InputError(f"The first proposal's Dice must lie between 0 and 1, but is {dice}.")
    times = [confirmation.seconds_active, *(p.at_s for p in confirmation.prompts)]
    if not all(math.isfinite(t) for t in times):
        raise InputError("A time in the confirmation is not a finite number.")


@dataclass(frozen=True, eq=False)
class Prepared:
    """A checked confirmation with its mask on the case's grid."""

    confirmation: Confirmation
    mask: Mask
    geometry: Geometry

    @cached_property
    def mask_hash(self) -> str:
        """See `CaseRef.mask_hash`."""
        return mask_hash(self.mask)

    @cached_property
    def confirmation_hash(self) -> str:
        """SHA-256 over what the client sent, as JSON with sorted keys and without spaces."""
        sent = self.confirmation
        values = {
            "case_id": sent.case_id,
            "mask_hash": self.mask_hash,
            "prompts": prompts_to_json(sent.prompts),
            "annotator": sent.annotator,
            "seconds_active": float(sent.seconds_active),
            "weights_version": int(sent.weights_version),
            "first_shown_dice": None if sent.first_shown_dice is None else float(sent.first_shown_dice),
            "note": sent.note,
            **suggestion_to_json(sent.suggestion),
            **imported_to_json(sent.imported),
        }
        if sent.slot != FIRST:
            values |= {"target": sent.slot.target, "instance": sent.slot.instance}
        if sent.replaces_accepted:
            values["replaces_accepted"] = True
        return sha256(json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode())

    def record(self, manifest: CampaignManifest, image_hash: str, image_dtype: str) -> CaseRecord:
        """The record, with version and sequence still to be given."""
        sent = self.confirmation
        return CaseRecord(
            case_id=sent.case_id,
            case_version=0,
            sequence=0,
            confirmation_id=sent.confirmation_id,
            confirmation_hash=self.confirmation_hash,
            based_on_version=None,
            conflict=False,
            image_hash=image_hash,
            image_dtype=image_dtype,
            geometry=self.geometry,
            mask_hash=self.mask_hash,
            mask_voxels=int(np.count_nonzero(self.mask)),
            files={},
            prompts=sent.prompts,
            first_shown_dice=None if sent.first_shown_dice is None else float(sent.first_shown_dice),
            annotator=sent.annotator,
            seconds_active=float(sent.seconds_active),
            weights_version=int(sent.weights_version),
            model_hash=manifest.model_hash,
            note=sent.note,
            label=manifest.targets.by_key(sent.slot.target).name,
            confirmed_at=utc_now(),
            imported=sent.imported,
            slot=sent.slot,
            suggestion=sent.suggestion,
        )


def version_files(
    prepared: Prepared, record: CaseRecord, targets: Targets
) -> tuple[CaseRecord, dict[str, bytes]]:
    """The files of a version's folder, and the record with their hashes."""
    target = targets.by_key(record.slot.target)
    segment = segment_of(target, targets.name_of(record.slot))
    files = {
        names.MASK: encode_seg_nrrd(prepared.mask, prepared.geometry, segment),
        names.MASK_CHUNKS: encode_chunked(prepared.mask, binary=True),
    }
    record = replace(record, files={name: sha256(data) for name, data in files.items()})
    return record, {**files, names.RECORD: record.to_document()}

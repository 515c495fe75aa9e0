"""Drafts: unconfirmed work on a case, one file each, replaced at every save. Drafts never train."""

from __future__ import annotations

from dataclasses import dataclass

from clopa_annotator.cache.confirming import checked_mask
from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.layout import Layout, utc_now
from clopa_annotator.cache.format.prompt_json import prompts_from_json, prompts_to_json
from clopa_annotator.cache.format.record import imported_from_json, imported_to_json, open_document
from clopa_annotator.cache.format.regions import mask_from_json, mask_to_json
from clopa_annotator.cache.format.sealed import seal
from clopa_annotator.errors import CorruptRecord
from clopa_annotator.geometry import Kji
from clopa_annotator.types import Imported, Mask, TimedPrompt

DRAFT = "clopa-draft"
FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class CaseDraft:
    """Unconfirmed work.

    Attributes:
        case_id: name of the case.
        mask: (k, j, i) uint8 mask on the image's grid.
        prompts: what was given so far, in order.
        annotator: who is at work.
        seconds_active: time spent.
        weights_version: weights in use.
        first_shown_dice: kept for the confirmation; None if not known.
        based_on_version: confirmed version that the work started from; 0 for none.
        saved_at: ISO 8601 instant; filled in when it is saved.
        imported: where the mask came from, if nobody has touched it since: it is a suggestion then.
    """

    case_id: str
    mask: Mask
    prompts: tuple[TimedPrompt, ...] = ()
    annotator: str = ""
    seconds_active: float = 0.0
    weights_version: int = 0
    first_shown_dice: float | None = None
    based_on_version: int = 0
    saved_at: str = ""
    imported: Imported | None = None


def draft_path(case_id: str) -> str:
    """A draft's file, relative to the campaign."""
    return f"{names.DRAFTS}/{names.case_folder(case_id)}.json"


def save(layout: Layout, draft: CaseDraft, shape_kji: Kji) -> None:
    """Write a draft over the one before."""
    layout.publish_document(draft_path(draft.case_id), document(draft, shape_kji), overwrite=True)


def document(draft: CaseDraft, shape_kji: Kji) -> bytes:
    """A draft's file, saved now; raises what `checked_mask` raises."""
    mask = checked_mask(draft.mask, shape_kji)
    values = {
        "format": DRAFT,
        "format_version": FORMAT_VERSION,
        **vars(draft),
        "mask": mask_to_json(mask),
        "prompts": prompts_to_json(draft.prompts),
        "saved_at": utc_now(),
    }
    del values["imported"]
    values |= imported_to_json(draft.imported)
    return seal(values)


def load(layout: Layout, relative: str, shape_kji: Kji) -> CaseDraft:
    """Read a draft; raises `CorruptRecord`."""
    values = open_document(layout.read(relative), DRAFT, relative)
    try:
        plain = {key: values[key] for key in CaseDraft.__dataclass_fields__ if key != "imported"}
        imported = imported_from_json(values)
        mask = mask_from_json(values["mask"], shape_kji)
        prompts = prompts_from_json(values["prompts"], shape_kji)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptRecord(f"{relative} cannot be read: {error}.") from error
    return CaseDraft(**{**plain, "mask": mask, "prompts": prompts, "imported": imported})

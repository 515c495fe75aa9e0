"""Drafts: unconfirmed work on a case, one file each, replaced at every save. Drafts never train."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from clopa_annotator.cache.confirming import checked_mask
from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.layout import Layout, utc_now
from clopa_annotator.cache.format.prompt_json import prompts_from_json, prompts_to_json
from clopa_annotator.cache.format.record import (
    imported_from_json,
    imported_to_json,
    open_document,
    slot_from_json,
    slot_to_json,
    suggestion_from_json,
    suggestion_to_json,
)
from clopa_annotator.cache.format.regions import mask_from_json, mask_to_json
from clopa_annotator.cache.format.sealed import seal
from clopa_annotator.errors import CorruptRecord
from clopa_annotator.geometry import Kji
from clopa_annotator.types import Imported, Mask, Slot, SuggestionUse, TimedPrompt
from clopa_annotator.types.targets import FIRST

DRAFT = "clopa-draft"
_TAIL = 16_384
_SUGGESTION = re.compile(rb'^ "imported": \{', re.MULTILINE)


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
        slot: what of the case it is of.
        suggestion: what was made of the model's suggestion so far.
        reading: 2 for that of a second person who does not see the first's.
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
    slot: Slot = FIRST
    suggestion: SuggestionUse = SuggestionUse.NONE
    reading: int = 1


def draft_path(case_id: str, slot: Slot = FIRST, reading: int = 1) -> str:
    """A draft's file, relative to the campaign; that of a second reader lies in a folder of its own."""
    folder = names.DRAFTS if reading == 1 else names.READINGS
    return f"{folder}/{names.draft_file(case_id, slot)}"


def save(layout: Layout, draft: CaseDraft, shape_kji: Kji) -> None:
    """Write a draft over the one before."""
    relative = draft_path(draft.case_id, draft.slot, draft.reading)
    if draft.reading > 1 and not layout.path(names.READINGS).is_dir():
        layout.disk.make_folder(layout.path(names.READINGS))
        layout.disk.sync_folder(layout.root)
    layout.publish_document(relative, document(draft, shape_kji), overwrite=True)


def document(draft: CaseDraft, shape_kji: Kji) -> bytes:
    """A draft's file, saved now; raises what `checked_mask` raises."""
    mask = checked_mask(draft.mask, shape_kji)
    values = {
        "format": DRAFT,
        **slot_to_json(draft.slot),
        **vars(draft),
        "mask": mask_to_json(mask),
        "prompts": prompts_to_json(draft.prompts),
        "saved_at": utc_now(),
    }
    del values["imported"], values["slot"], values["suggestion"]
    if draft.reading == 1:
        del values["reading"]
    values |= suggestion_to_json(draft.suggestion) | imported_to_json(draft.imported)  # `DraftList`: last
    return seal(values)


def load(layout: Layout, relative: str, shape_kji: Kji) -> CaseDraft:
    """Read a draft; raises `CorruptRecord`."""
    values = open_document(layout.read(relative), DRAFT, relative)
    try:
        given = {
            "imported": imported_from_json(values),
            "slot": slot_from_json(values, relative),
            "suggestion": suggestion_from_json(values),
            "reading": int(values.get("reading", 1)),
        }
        plain = {k: values[k] for k in CaseDraft.__dataclass_fields__ if k not in given}
        mask = mask_from_json(values["mask"], shape_kji)
        prompts = prompts_from_json(values["prompts"], shape_kji)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptRecord(f"{relative} cannot be read: {error}.") from error
    draft = CaseDraft(**{**plain, "mask": mask, "prompts": prompts, **given})
    if relative != draft_path(draft.case_id, draft.slot, draft.reading):
        raise CorruptRecord(f"{relative} belongs to another case.")
    return draft


@dataclass
class DraftList:
    """Which drafts there are, and which of them nobody has touched; remembers what it has looked into.

    A suggestion's key ``imported`` is the document's last, so that the end of the file tells.
    """

    layout: Layout
    _known: dict[str, tuple[int, int, bool]] = field(default_factory=dict)

    def of_cases(self) -> dict[str, dict[Slot, bool]]:
        """By case folder and slot: whether the draft is a suggestion."""
        found: dict[str, dict[Slot, bool]] = {}
        for folder, slot, name in self._named(""):
            found.setdefault(folder, {})[slot] = self._is_suggestion(name)
        return found

    def of_case(self, case_id: str) -> dict[Slot, bool]:
        """The same for one case."""
        return {slot: self._is_suggestion(name) for _, slot, name in self._named(names.case_folder(case_id))}

    def slots_with_work(self) -> Iterator[Slot]:
        """The slot of every draft."""
        return (slot for _, slot, _ in self._named(""))

    def _named(self, beginning: str) -> Iterator[tuple[str, Slot, str]]:
        """(case folder, slot, file name) of the drafts whose names begin so."""
        for name in self.layout.entries(names.DRAFTS):
            of = names.draft_slot(name) if name.startswith(beginning) else None
            if of is not None:
                yield *of, name

    def _is_suggestion(self, name: str) -> bool:
        path = self.layout.path(f"{names.DRAFTS}/{name}")
        try:
            status = path.stat()
            known = self._known.get(name)
            if known is None or known[:2] != (status.st_mtime_ns, status.st_size):
                with path.open("rb") as file:
                    file.seek(max(0, status.st_size - _TAIL))
                    known = (status.st_mtime_ns, status.st_size, bool(_SUGGESTION.search(file.read())))
                self._known[name] = known
        except FileNotFoundError:
            # Confirmed or dropped since the folder was listed.
            return False
        return known[2]

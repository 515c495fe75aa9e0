"""Who takes imported labels in: the folder of a campaign, or an engine that holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from clopa_annotator.cache.campaign_store import CampaignStore, CaseDraft
from clopa_annotator.cache.together import confirm_together, save_drafts_together
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import CaseState, Confirmation, Image, Imported, Mask, Slot, Targets
from clopa_annotator.types.targets import FIRST


@dataclass(frozen=True)
class KnownCase:
    """What an import has to know about a slot of a case.

    Attributes:
        case_id: name of the case.
        geometry: its grid.
        confirmed_by: who confirmed the current version; None if there is none.
        has_draft: whether unconfirmed work is kept.
        suggestion: import id of the suggestion that the draft is; empty if it is somebody's work.
        was_imported: whether this very import was confirmed before, withdrawn or not.
        skipped: whether the case was left out.
    """

    case_id: str
    geometry: Geometry
    confirmed_by: str | None = None
    has_draft: bool = False
    suggestion: str = ""
    was_imported: bool = False
    skipped: bool = False


@dataclass(frozen=True, eq=False)
class Kept:
    """A mask that is to be taken in.

    Attributes:
        case_id: its case, which is there.
        mask: (k, j, i) 0 or 1 on the case's grid.
        imported: where it came from.
        slot: which target it is of, and which of several of a kind.
    """

    case_id: str
    mask: Mask
    imported: Imported
    slot: Slot = FIRST


class LabelReceiver(Protocol):
    """Where an import goes. Everything raises what `CampaignStore` and the way to it raise."""

    @property
    def targets(self) -> Targets:
        """The campaign's targets."""
        ...

    def sources(self) -> Mapping[str, str]:
        """Every case, and where its image came from."""
        ...

    def look(self, case_id: str, import_id: str, slot: Slot = FIRST) -> KnownCase:
        """A slot of a case as it stands."""
        ...

    def add(self, case_id: str, image: Image, source: str) -> None:
        """Add a case."""
        ...

    def keep(self, case_id: str, mask: Mask, imported: Imported, confirmed: bool, slot: Slot = FIRST) -> None:
        """Take a mask of a slot in: confirm it, or keep it as a suggestion."""
        ...

    def done(self) -> None:
        """Nothing more comes."""
        ...


@runtime_checkable
class TakesSeveral(Protocol):
    """A receiver that takes several masks in together, which is faster; all of them or none."""

    def keep_together(self, masks: Sequence[Kept], confirmed: bool) -> None:
        """Take masks in as `LabelReceiver.keep` does; when it raises, try them one by one."""
        ...


def known_case(store: CampaignStore, case_id: str, import_id: str, slot: Slot = FIRST) -> KnownCase:
    """What an import has to know about a slot of a case of an open campaign."""
    summary = store.slot(case_id, slot)
    draft = store.load_draft(case_id, slot) if summary.has_draft else None
    current = store.version(summary.sequence) if summary.sequence is not None else None
    return KnownCase(
        case_id,
        store.geometry(store.image_hash(case_id)),
        None if current is None else current.annotator,
        summary.has_draft,
        draft.imported.import_id if draft is not None and draft.imported is not None else "",
        store.confirmation(import_id) is not None,
        summary.state is CaseState.SKIPPED,
    )


def confirmation_of(
    case_id: str, mask: Mask, imported: Imported, annotator: str, slot: Slot = FIRST
) -> Confirmation:
    """An imported mask as a confirmation; its id is the import's."""
    return Confirmation(imported.import_id, case_id, mask, annotator=annotator, imported=imported, slot=slot)


class StoreReceiver:
    """A campaign folder that this process writes to."""

    def __init__(self, store: CampaignStore, annotator: str) -> None:
        """Confirm in the name of ``annotator``."""
        self._store, self._annotator = store, annotator

    @property
    def targets(self) -> Targets:
        """The campaign's targets."""
        return self._store.targets

    def sources(self) -> Mapping[str, str]:
        """Every case, and where its image came from."""
        return {case.case_id: case.source for case in self._store.cases()}

    def look(self, case_id: str, import_id: str, slot: Slot = FIRST) -> KnownCase:
        """A slot of a case as it stands."""
        return known_case(self._store, case_id, import_id, slot)

    def add(self, case_id: str, image: Image, source: str) -> None:
        """Add a case."""
        self._store.add_case(case_id, image, source)

    def keep(self, case_id: str, mask: Mask, imported: Imported, confirmed: bool, slot: Slot = FIRST) -> None:
        """Confirm a mask durably, or keep it as a suggestion."""
        self.keep_together([Kept(case_id, mask, imported, slot)], confirmed)

    def keep_together(self, masks: Sequence[Kept], confirmed: bool) -> None:
        """Confirm masks durably, or keep them as suggestions; all or none."""
        who = self._annotator
        if confirmed:
            sent = [confirmation_of(m.case_id, m.mask, m.imported, who, m.slot) for m in masks]
            confirm_together(self._store, sent)
        else:
            drafts = [
                CaseDraft(m.case_id, m.mask, annotator=who, imported=m.imported, slot=m.slot) for m in masks
            ]
            save_drafts_together(self._store, drafts)

    def done(self) -> None:
        """Nothing has to be told to a folder."""

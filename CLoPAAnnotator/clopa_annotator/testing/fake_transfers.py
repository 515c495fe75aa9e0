"""Exports and imports of the in-process engine, on its campaign in memory."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np

from clopa_annotator.client.calls import Call
from clopa_annotator.errors import CaseTaken, ConfigError, InputError, UnknownCase
from clopa_annotator.importers.receiver import KnownCase, confirmation_of
from clopa_annotator.testing.fake_calls import ScriptedCalls
from clopa_annotator.testing.fake_campaign import FakeCampaign
from clopa_annotator.types import CaseState, Image, Imported, Mask, Slot, Targets
from clopa_annotator.types.exports import EXPORT_FORMATS, EXPORTS, Exported, ExportOrder, OnProgress, Progress
from clopa_annotator.types.imports import ImportOrder, ImportReport, Outcome
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.messages import Draft


class FakeReceiver:
    """Fulfils `importers.receiver.LabelReceiver` on a `FakeCampaign`."""

    def __init__(self, campaign: FakeCampaign, annotator: str) -> None:
        """Import in the name of ``annotator``."""
        self._campaign, self._annotator = campaign, annotator

    @property
    def targets(self) -> Targets:
        """The campaign's targets."""
        return self._campaign.targets

    def sources(self) -> Mapping[str, str]:
        """Every case, and where its image came from."""
        return {name: case.row.source for name, case in self._campaign.cases.items()}

    def look(self, case_id: str, import_id: str, slot: Slot = FIRST) -> KnownCase:
        """A slot of a case as it stands."""
        case = self._campaign.case(case_id)
        work = case.slot(slot)
        imported = work.draft.imported if work.draft is not None else None
        return KnownCase(
            case_id,
            case.image.geometry,
            work.newest.statistics.annotator if work.newest else None,
            work.draft is not None,
            imported.import_id if imported is not None else "",
            self._campaign.knows(import_id),
            work.state is CaseState.SKIPPED,
        )

    def add(self, case_id: str, image: Image, source: str) -> None:
        """Add a case."""
        self._campaign.add(case_id, image, source)

    def keep(self, case_id: str, mask: Mask, imported: Imported, confirmed: bool, slot: Slot = FIRST) -> None:
        """Confirm a mask, or keep it as a suggestion."""
        owner = self._campaign.case(case_id).slot(slot).owner
        if owner:
            raise CaseTaken(f"{owner} has this case open. Import its label when it is closed.")
        if confirmed:
            self._campaign.confirm(confirmation_of(case_id, mask, imported, self._annotator, slot))
        else:
            self._campaign.keep_draft(case_id, Draft(mask, imported=imported), slot)

    def done(self) -> None:
        """Everything has been told already."""


def fake_export(campaign: FakeCampaign, order: ExportOrder) -> Exported:
    """Write a list of the chosen confirmed cases into an empty or new folder; a fake has nothing else.

    Raises:
        ConfigError: an unknown format or target, or the folder holds something.
        UnknownCase: a case that the campaign does not have.
        InputError: targets share voxels, in a format that holds one label for each.
    """
    if order.format not in EXPORT_FORMATS:
        raise ConfigError(
            f"There is no export format {order.format!r}; there are {', '.join(EXPORT_FORMATS)}."
        )
    target = Path(order.folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target} is not an empty folder. Choose another.")
    unknown = [case_id for case_id in order.cases if case_id not in campaign.cases]
    if unknown:
        raise UnknownCase(f"The campaign has no case {unknown[0]!r}.")
    masks = _confirmed_masks(campaign, order)
    wanted = order.cases or tuple(masks)
    if not order.cases and order.choice == "accepted":
        wanted = tuple(c for c in masks if campaign.case(c).row.state is CaseState.CONFIRMED)
    written = tuple(c for c in masks if c in wanted)
    if any(kind.holds_labels for kind in EXPORTS if kind.name == order.format) and not order.priority:
        for case_id in written:
            _refuse_shared(campaign, case_id, masks[case_id])
    target.mkdir(parents=True, exist_ok=True)
    (target / "confirmed.tsv").write_text("".join(f"{c}\n" for c in written), encoding="utf-8")
    left_out = tuple((c, "it has no confirmed version.") for c in wanted if c not in masks)
    return Exported(str(target), written, left_out)


def _confirmed_masks(campaign: FakeCampaign, order: ExportOrder) -> dict[str, dict[Slot, Mask]]:
    """The newest masks of the chosen targets, by case in order of arrival."""
    targets = campaign.targets
    keys = {targets.by_name(name).key for name in order.targets} or {t.key for t in targets}
    for name in order.priority:
        if targets.by_name(name).key not in keys:
            raise ConfigError(f"{name} has a priority, but is not among the targets to be exported.")
    newest = [
        version
        for case in campaign.cases.values()
        for slot in case.in_order
        if slot.target in keys and (version := case.slot(slot).newest) is not None
    ]
    found: dict[str, dict[Slot, Mask]] = {}
    for version in sorted(newest, key=lambda version: version.ref.sequence):
        found.setdefault(version.ref.case_id, {})[version.ref.slot] = version.mask
    return found


def _refuse_shared(campaign: FakeCampaign, case_id: str, masks: Mapping[Slot, Mask]) -> None:
    for (one, first), (other, second) in combinations(masks.items(), 2):
        if one.target != other.target and (np.logical_and(first, second)).any():
            names = " and ".join(campaign.targets.name_of(slot) for slot in (one, other))
            raise InputError(f"In case {case_id!r}, {names} share voxels. Say whose they are.")


class FakeTransfers(ScriptedCalls):
    """The transfers' part of the in-process engine, mixed into it."""

    campaign: FakeCampaign
    _annotator: str

    def export(self, order: ExportOrder, on_progress: OnProgress | None = None) -> Call[Exported]:
        """Write a list of the confirmed cases; a fake has nothing else to export."""
        return self._do(f"export {order.format}", lambda: self._export_now(order, on_progress), self.delay_s)

    def _export_now(self, order: ExportOrder, on_progress: OnProgress | None) -> Exported:
        exported = fake_export(self.campaign, order)
        if on_progress is not None:
            on_progress(Progress(len(exported.written), len(exported.written)))
        return exported

    def import_labels(self, order: ImportOrder, on_progress: OnProgress | None = None) -> Call[ImportReport]:
        """Import into the campaign in memory."""
        return self._do("import the labels", lambda: self._import_now(order, on_progress), self.delay_s)

    def _import_now(self, order: ImportOrder, on_progress: OnProgress | None) -> ImportReport:
        def on_step(done: int, total: int, outcome: Outcome) -> None:
            if on_progress is not None:
                on_progress(Progress(done, total, outcome.case_id))

        from clopa_annotator.importers.import_run import run_import  # it reads files: slow to import

        return run_import(order, FakeReceiver(self.campaign, self._annotator), on_step)

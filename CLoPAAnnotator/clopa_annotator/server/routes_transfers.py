"""Routes of what takes long: exports with their progress, and imported labels one by one. For owners."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Protocol

from starlette.routing import Route

from clopa_annotator.campaign.export_jobs import ExportJob
from clopa_annotator.errors import InputError
from clopa_annotator.importers.receiver import KnownCase
from clopa_annotator.server.http import Ask, Reply, route
from clopa_annotator.server.routes_cases import mask_of, text
from clopa_annotator.types import Imported, Mask, Slot, Targets
from clopa_annotator.types.exports import ExportOrder
from clopa_annotator.wire.array_framing import WireLimits
from clopa_annotator.wire.codec import imported_from_wire, slot_from_wire, targets_to_wire
from clopa_annotator.wire.faults import fault_body
from clopa_annotator.wire.session_messages import geometry_to_wire

_MOST_CASES = 100_000


class ExportHost(Protocol):
    """What the exports' routes need; see `campaign.export_jobs`."""

    def start(self, number: str, order: ExportOrder) -> ExportJob:
        """Begin; the same number again changes nothing."""
        ...

    def job(self, number: str) -> ExportJob:
        """An export by its number."""
        ...

    def stop(self, number: str) -> None:
        """Stop an export."""
        ...


class ImportHost(Protocol):
    """What the imports' routes need; see `campaign.label_intake`."""

    @property
    def targets(self) -> Targets:
        """The campaign's targets."""
        ...

    def sources(self) -> Mapping[str, str]:
        """Every case, and where its image came from."""
        ...

    def look(self, case_id: str, import_id: str, slot: Slot) -> KnownCase:
        """A slot of a case as it stands."""
        ...

    def keep(
        self, case_id: str, mask: Mask, imported: Imported, confirmed: bool, who: str, slot: Slot
    ) -> None:
        """Confirm a mask durably, or keep it as a suggestion."""
        ...

    def done(self, case_id: str) -> None:
        """The last label has come."""
        ...


class TransferRoutes:
    """Handlers over an `ExportHost` and an `ImportHost`."""

    def __init__(self, exports: ExportHost, imports: ImportHost) -> None:
        """Serve both."""
        self._exports, self._imports = exports, imports

    def routes(self, limits: WireLimits) -> list[Route]:
        """All routes of this module."""
        handlers = {
            "export": self.whole,
            "export/start": self.start,
            "export/state": self.state,
            "export/stop": self.stop,
            "import/begin": self.begin,
            "import/look": self.look,
            "import/keep": self.keep,
            "import/done": self.done,
        }
        return [route(path, handler, limits) for path, handler in handlers.items()]

    # -- exports -------------------------------------------------------------------------------------------

    def start(self, ask: Ask) -> Reply:
        """Begin an export."""
        ask.who.require_owner("export")
        return _job_row(self._exports.start(text(ask.meta, "export"), _order(ask.meta)))

    def whole(self, ask: Ask) -> Reply:
        """An export from beginning to end, for clients before these routes; the folder written."""
        ask.who.require_owner("export")
        job = self._exports.start(uuid.uuid4().hex, _order(ask.meta))
        job.ended.wait()
        if job.error is not None:
            raise job.error
        return Reply({"folder": job.result.folder if job.result is not None else ""})

    def state(self, ask: Ask) -> Reply:
        """How far an export has come, and what became of it."""
        ask.who.require_owner("export")
        return _job_row(self._exports.job(text(ask.meta, "export")))

    def stop(self, ask: Ask) -> Reply:
        """Stop an export."""
        ask.who.require_owner("export")
        self._exports.stop(text(ask.meta, "export"))
        return Reply({"stopped": True})

    # -- imports -------------------------------------------------------------------------------------------

    def begin(self, ask: Ask) -> Reply:
        """What an import has to know of the campaign."""
        ask.who.require_owner("import labels")
        targets = self._imports.targets
        about = {"label": targets.by_key("").name, "targets": targets_to_wire(targets)}
        return Reply({**about, "sources": dict(self._imports.sources())})

    def look(self, ask: Ask) -> Reply:
        """What an import has to know of a case."""
        ask.who.require_owner("import labels")
        slot = slot_from_wire(ask.meta.get("slot"))
        known = self._imports.look(text(ask.meta, "case_id"), text(ask.meta, "import_id"), slot)
        return Reply({"case": {**vars(known), "geometry": geometry_to_wire(known.geometry)}})

    def keep(self, ask: Ask) -> Reply:
        """Take one label in; the person is the token's, whatever the message says."""
        ask.who.require_owner("import labels")
        confirmed = ask.meta.get("confirmed")
        if not isinstance(confirmed, bool):
            raise InputError("Say whether the label counts as confirmed: confirmed is true or false.")
        imported = imported_from_wire(ask.meta.get("imported"))
        case_id, slot = text(ask.meta, "case_id"), slot_from_wire(ask.meta.get("slot"))
        self._imports.keep(case_id, mask_of(ask), imported, confirmed, ask.who.name, slot)
        return Reply({"kept": True})

    def done(self, ask: Ask) -> Reply:
        """The last label of an import has come."""
        ask.who.require_owner("import labels")
        self._imports.done(text(ask.meta, "case_id"))
        return Reply({"done": True})


def _order(meta: Mapping[str, Any]) -> ExportOrder:
    choice = meta.get("choice", "all")
    if choice not in ("all", "accepted"):
        raise InputError('The choice of cases is "all" or "accepted".')
    cases, targets, priority = (_names(meta, key) for key in ("cases", "targets", "priority"))
    format: Any = text(meta, "format")
    instances = meta.get("instances") is True
    return ExportOrder(format, text(meta, "folder", ""), choice, cases, targets, priority, instances)


def _names(meta: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names = meta.get(key, [])
    if (
        not isinstance(names, list)
        or len(names) > _MOST_CASES
        or not all(isinstance(name, str) for name in names)
    ):
        raise InputError(f"The {key} of an export are a list of names.")
    return tuple(names)


def _job_row(job: ExportJob) -> Reply:
    ended = job.ended.is_set()
    row: dict[str, Any] = {"done": job.progress.done, "total": job.progress.total, "ended": ended}
    if ended and job.error is not None:
        row["fault"] = fault_body(job.error)
    if ended and job.result is not None:
        row["result"] = {
            "folder": job.result.folder,
            "written": list(job.result.written),
            "left_out": [list(pair) for pair in job.result.left_out],
        }
    return Reply(row)

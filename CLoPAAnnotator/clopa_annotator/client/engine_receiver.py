"""An engine that takes imported labels in, as `importers` needs it; used in the transfers' thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from clopa_annotator.cache.format.images import prepare
from clopa_annotator.client.transport import Transport
from clopa_annotator.errors import NotAnEngine
from clopa_annotator.importers.receiver import KnownCase
from clopa_annotator.types import Image, Imported, Mask, Slot, Targets
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.codec import slot_to_wire, targets_from_wire
from clopa_annotator.wire.session_messages import geometry_from_wire, geometry_to_wire


class EngineReceiver:
    """Fulfils `importers.receiver.LabelReceiver` over HTTP."""

    def __init__(self, transport: Transport) -> None:
        """Ask for the campaign's targets and cases."""
        self._transport = transport
        row, _ = transport.exchange("import/begin", {})
        self._targets, self._sources = targets_from_wire(row["targets"]), dict(row["sources"])
        self._last = ""

    @property
    def targets(self) -> Targets:
        """The campaign's targets."""
        return self._targets

    def sources(self) -> Mapping[str, str]:
        """Every case, and where its image came from."""
        return self._sources

    def look(self, case_id: str, import_id: str, slot: Slot = FIRST) -> KnownCase:
        """A slot of a case as it stands."""
        meta = {"case_id": case_id, "import_id": import_id, "slot": slot_to_wire(slot)}
        row, _ = self._transport.exchange("import/look", meta)
        case: dict[str, Any] = row["case"]
        try:
            known = {name: case[name] for name in KnownCase.__dataclass_fields__}
            return KnownCase(**{**known, "geometry": geometry_from_wire(case["geometry"])})
        except (KeyError, TypeError) as error:
            raise NotAnEngine("The answer is none of a CLoPA engine's; is the address right?") from error

    def add(self, case_id: str, image: Image, source: str) -> None:
        """Add a case."""
        meta = {"case_id": case_id, "geometry": geometry_to_wire(image.geometry), "source": source}
        self._transport.exchange("cases/add", meta, {"image": prepare(image)[0]})

    def keep(self, case_id: str, mask: Mask, imported: Imported, confirmed: bool, slot: Slot = FIRST) -> None:
        """Confirm a mask durably, or keep it as a suggestion."""
        meta = {"case_id": case_id, "confirmed": confirmed, "imported": asdict(imported)}
        self._transport.exchange("import/keep", {**meta, "slot": slot_to_wire(slot)}, {"mask": mask})
        self._last = case_id

    def done(self) -> None:
        """Nothing more comes: the engine tells everybody, and learns if it is time."""
        self._transport.exchange("import/done", {"case_id": self._last})

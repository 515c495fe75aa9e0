"""Confirmations that could not be delivered, kept on the annotator's disk until they are.

One file per confirmation, flushed and renamed into place before anything is sent, and removed once the engine
has answered. Deliveries carry the confirmation's id, so one whose answer was lost is not stored twice. Files
belong to a campaign: nothing is delivered to another one.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from dataclasses import dataclass
from pathlib import Path

from clopa_annotator.durable import make_folder, write_bytes
from clopa_annotator.errors import InputError
from clopa_annotator.types import Confirmation
from clopa_annotator.wire.array_framing import WireLimits, pack_bundle, unpack_bundle
from clopa_annotator.wire.session_messages import prompts_to_wire

logger = logging.getLogger(__name__)

SUFFIX = ".confirmation"


@dataclass(frozen=True)
class UndeliveredConfirmation:
    """One kept confirmation.

    Attributes:
        path: its file.
        confirmation_id: see `Confirmation`.
        case_id: the case.
    """

    path: Path
    confirmation_id: str
    case_id: str

    def body(self) -> bytes:
        """The message as it is sent."""
        return self.path.read_bytes()


def confirmation_message(confirmation: Confirmation, based_on_version: int | None) -> bytes:
    """The bundle that the route ``confirm`` takes."""
    rows, arrays = prompts_to_wire(confirmation.prompts)
    meta = {
        "confirmation_id": confirmation.confirmation_id,
        "case_id": confirmation.case_id,
        "prompts": rows,
        "seconds_active": float(confirmation.seconds_active),
        "weights_version": int(confirmation.weights_version),
        "first_shown_dice": confirmation.first_shown_dice,
        "note": confirmation.note,
        "based_on_version": based_on_version,
        "slot": {"target": confirmation.slot.target, "instance": confirmation.slot.instance},
        "suggestion": confirmation.suggestion.value,
    }
    if confirmation.replaces_accepted:
        meta["replaces_accepted"] = True
    return pack_bundle(meta, {**arrays, "mask": confirmation.mask})


def put_aside(path: Path, suffix: str) -> Path:
    """Rename a kept confirmation out of the queue, beside everything that was put aside before."""
    names = (path.with_suffix(f"{'' if n == 1 else f'.{n}'}{suffix}") for n in itertools.count(1))
    target = next(name for name in names if not name.exists())
    path.rename(target)
    return target


class UndeliveredConfirmations:
    """The kept confirmations of one campaign."""

    def __init__(self, folder: Path, campaign_id: str) -> None:
        """Use a folder that may be shared by campaigns, engines and sittings."""
        name = hashlib.sha256(campaign_id.encode()).hexdigest()[:24]
        self._folder = folder / name

    def put(self, confirmation_id: str, message: bytes) -> Path:
        """Keep a message; on return it is on the disk.

        Raises:
            StorageFull: no room.
            ReadOnlyCampaign: the folder cannot be written.
        """
        make_folder(self._folder)
        digest = hashlib.sha256(confirmation_id.encode()).hexdigest()[:32]
        # One pattern for all: pathlib remembers tens of thousands of them, compiled.
        known = sorted(p for p in self._folder.glob(f"*{SUFFIX}") if p.name.endswith(f"-{digest}{SUFFIX}"))
        for path in known:
            if path.read_bytes() == message:
                return path
        path = self._folder / f"{self._next():08d}-{digest}{SUFFIX}"
        write_bytes(path, message)
        return path

    def remove(self, path: Path) -> None:
        """Forget a delivered message."""
        path.unlink(missing_ok=True)

    def waiting(self) -> tuple[UndeliveredConfirmation, ...]:
        """What waits for delivery, oldest first; an unreadable file is put aside, not deleted."""
        found = []
        for path in sorted(self._folder.glob(f"*{SUFFIX}")) if self._folder.is_dir() else []:
            try:
                meta = unpack_bundle(path.read_bytes(), WireLimits()).meta
                found.append(
                    UndeliveredConfirmation(path, str(meta["confirmation_id"]), str(meta["case_id"]))
                )
            except (InputError, KeyError, OSError) as error:
                logger.error("A kept confirmation cannot be read and is put aside: %s (%s)", path.name, error)
                put_aside(path, ".unreadable")
        return tuple(found)

    def _next(self) -> int:
        numbers = [int(p.name.split("-", 1)[0]) for p in self._folder.glob(f"*{SUFFIX}")]
        return max(numbers, default=0) + 1

"""What the client keeps on disk: a kept confirmation waits out what will pass, in order and once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from engine_support import a_confirmation

from clopa_annotator.client.operations import ClientOperations
from clopa_annotator.client.undelivered import UndeliveredConfirmations, confirmation_message
from clopa_annotator.errors import EngineFull, EngineUnreachable, InputError, StorageFull, WrongToken
from clopa_annotator.types import CaseRef, Confirmation
from clopa_annotator.wire import codec
from clopa_annotator.wire.array_framing import WireLimits, unpack_bundle
from clopa_annotator.wire.messages import EngineInfo


def test_undelivered_confirmations_are_kept_in_order_and_once(tmp_path: Path) -> None:
    undelivered = UndeliveredConfirmations(tmp_path, "campaign")
    for name in ("b", "a", "c", "a"):
        undelivered.put(name, confirmation_message(a_confirmation(name), 0))
    assert [s.confirmation_id for s in undelivered.waiting()] == ["b", "a", "c"]
    again = UndeliveredConfirmations(tmp_path, "campaign")
    kept = again.waiting()[0]
    meta = unpack_bundle(kept.body(), WireLimits()).meta
    assert (meta["case_id"], meta["note"], meta["based_on_version"], len(meta["prompts"])) == (
        "Fall ä/1",
        "note",
        0,
        2,
    )
    again.remove(kept.path)
    assert [s.confirmation_id for s in undelivered.waiting()] == ["a", "c"]
    assert UndeliveredConfirmations(tmp_path, "another campaign").waiting() == ()


def test_an_unreadable_file_is_put_aside_not_deleted(tmp_path: Path) -> None:
    undelivered = UndeliveredConfirmations(tmp_path, "campaign")
    path = undelivered.put("one", b"torn")
    assert undelivered.waiting() == ()
    assert path.with_suffix(".unreadable").read_bytes() == b"torn"


class FailingLine:
    """Answers a confirmation with one error after the other, then takes it."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.taken = list(errors), 0

    def send(self, path: str, body: bytes, kind: str) -> tuple[dict[str, object], dict[str, object]]:
        assert path == "confirm"
        if self.errors:
            raise self.errors.pop(0)
        self.taken += 1
        return {"ref": codec.ref_to_wire(CaseRef("a", 1, 1, "i", "m", "r", "f"))}, {}


def bench_with(line: FailingLine, folder: Path) -> ClientOperations:
    operations = ClientOperations(line, folder)
    operations._info = EngineInfo(1, "0", "CPU", "m", "h", "CC", "c", 5, frozenset(), "Ada", False, "id")
    return operations


@pytest.mark.parametrize("passing", [StorageFull("Full."), WrongToken("Changed."), EngineFull("Busy.")])
def test_a_kept_confirmation_waits_out_what_will_pass(tmp_path: Path, passing: Exception) -> None:
    line = FailingLine(EngineUnreachable("Gone."), passing, EngineUnreachable("Gone."))
    operations = bench_with(line, tmp_path)
    with pytest.raises(EngineUnreachable, match="kept on this computer"):
        operations.confirm(Confirmation("id", "a", np.ones((4, 4, 4), np.uint8)))
    assert operations.deliveries.owes
    for _ in range(2):
        assert operations.deliveries.deliver_kept() == [] and operations.deliveries.owes
    assert operations.deliveries.deliver_kept() == [] and not operations.deliveries.owes
    assert line.taken == 1 and not list(tmp_path.rglob("*.confirmation"))


def test_a_kept_confirmation_that_is_refused_for_good_is_put_aside_and_told(tmp_path: Path) -> None:
    operations = bench_with(FailingLine(EngineUnreachable("Gone."), InputError("Wrong shape.")), tmp_path)
    with pytest.raises(EngineUnreachable):
        operations.confirm(Confirmation("id", "a", np.ones((4, 4, 4), np.uint8)))
    (told,) = operations.deliveries.deliver_kept()
    assert told.name == "confirmation_refused" and told.data["reason"] == "Wrong shape."
    assert not operations.deliveries.owes and list(tmp_path.rglob("*.refused"))

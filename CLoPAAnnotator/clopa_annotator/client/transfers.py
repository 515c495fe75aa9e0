"""What takes long: exports and imports. They have a lane of their own, so that no click waits behind them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import asdict
from threading import Event as Flag
from typing import Any, TypeVar

from clopa_annotator.client.call_workers import CallWorker
from clopa_annotator.client.calls import Call, CallQueue
from clopa_annotator.client.transport import Transport
from clopa_annotator.types.exports import Exported, ExportOrder, OnProgress, Progress
from clopa_annotator.types.imports import ImportOrder, ImportReport, Outcome
from clopa_annotator.wire.faults import error_from

T = TypeVar("T")
ASK_EVERY_S = 0.2


class Transfers:
    """Carries out exports and imports in one thread, one after the other."""

    def __init__(self, transport: Transport, calls: CallQueue) -> None:
        """A lane whose calls are delivered through ``calls``; its thread starts with the first."""
        self._transport, self._calls = transport, calls
        self._lane = CallWorker("engine-transfers", calls)
        self._closing = Flag()

    def close(self) -> None:
        """Stop what is under way, before its next step; does not wait."""
        self._closing.set()
        self._lane.close()

    def export(self, order: ExportOrder, on_progress: OnProgress | None = None) -> Call[Exported]:
        """Write on the engine's machine; a cancelled call stops it and leaves nothing."""
        return self._do("export", lambda call: self._export(order, call, on_progress))

    def import_labels(self, order: ImportOrder, on_progress: OnProgress | None = None) -> Call[ImportReport]:
        """Read labels here and hand them to the engine; a cancelled call stops before the next one."""
        return self._do("import the labels", lambda call: self._import(order, call, on_progress))

    # -- how -----------------------------------------------------------------------------------------------

    def _do(self, name: str, work: Callable[[Call[Any]], T | None]) -> Call[T]:
        call: Call[T] = self._calls.start(name)

        def carry_out() -> None:
            if call.done:
                return
            try:
                result = work(call)
            except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for the answer
                call.fail(error)
                return
            if result is not None:
                call.answer(result)

        self._lane.put(carry_out)
        return call

    def _unwanted(self, call: Call[Any]) -> bool:
        return call.done or self._closing.is_set()

    def _tell(self, call: Call[Any], on_progress: OnProgress | None, progress: Progress) -> None:
        if on_progress is not None and not self._unwanted(call):
            tell = on_progress

            def deliver() -> None:
                tell(progress)

            self._calls.post(deliver)

    def _export(self, order: ExportOrder, call: Call[Any], on_progress: OnProgress | None) -> Exported | None:
        number = uuid.uuid4().hex
        row, _ = self._transport.exchange("export/start", {**asdict(order), "export": number})
        stopped = False
        while not row["ended"]:
            if self._unwanted(call) and not stopped:
                self._transport.exchange("export/stop", {"export": number})
                stopped = True  # and wait for its end: the engine carries out one at a time
            if self._closing.is_set():
                return None
            self._tell(call, on_progress, Progress(int(row["done"]), int(row["total"])))
            self._closing.wait(ASK_EVERY_S)
            row, _ = self._transport.exchange("export/state", {"export": number})
        if "fault" in row:
            raise error_from(409, row["fault"])
        result = row["result"]
        left_out = tuple((str(case_id), str(reason)) for case_id, reason in result["left_out"])
        return Exported(str(result["folder"]), tuple(result["written"]), left_out)

    def _import(self, order: ImportOrder, call: Call[Any], on_progress: OnProgress | None) -> ImportReport:
        from clopa_annotator.client.engine_receiver import EngineReceiver
        from clopa_annotator.importers.import_run import run_import

        def on_step(done: int, total: int, outcome: Outcome) -> None:
            self._tell(call, on_progress, Progress(done, total, outcome.case_id))

        return run_import(order, EngineReceiver(self._transport), on_step, lambda: self._unwanted(call))


class TransferCalls:
    """The transfers' part of `protocol.EngineClient`, mixed into the client."""

    _transfers: Transfers

    def _begin(self) -> None:
        """Say hello before anything else, so that events are heard."""
        raise NotImplementedError

    def export(self, order: ExportOrder, on_progress: OnProgress | None = None) -> Call[Exported]:
        """Write confirmed cases (or the weights) on the engine's machine; no click waits behind it."""
        self._begin()
        return self._transfers.export(order, on_progress)

    def import_labels(self, order: ImportOrder, on_progress: OnProgress | None = None) -> Call[ImportReport]:
        """Read labels here and hand them to the engine; no click waits behind it."""
        self._begin()
        return self._transfers.import_labels(order, on_progress)

"""Exports under way in an engine: one at a time, each in a thread, watched and stopped by its number."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from clopa_annotator.errors import CacheError, ClopaError, InputError
from clopa_annotator.types.exports import CASE_FORMATS, Exported, ExportOrder, Progress

if TYPE_CHECKING:
    from clopa_annotator.campaign.composition import Campaign

logger = logging.getLogger(__name__)


@dataclass
class ExportJob:
    """One export.

    Attributes:
        number: made by whoever asks, so that asking twice starts it once.
        progress: how far it has come.
        result: what it wrote, once it is finished.
        error: why it ended without a result.
    """

    number: str
    progress: Progress = field(default_factory=lambda: Progress(0, 0))
    result: Exported | None = None
    error: ClopaError | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


class ExportJobs:
    """Starts and watches the exports of one campaign; thread-safe."""

    def __init__(self, campaign: Campaign, anywhere: bool = False) -> None:
        """Nothing runs yet; with ``anywhere`` an owner may name any folder of this machine."""
        self._campaign, self._anywhere = campaign, anywhere
        self._mutex = threading.Lock()
        self._job: ExportJob | None = None

    def start(self, number: str, order: ExportOrder) -> ExportJob:
        """Begin; the same number again changes nothing.

        Raises:
            InputError: the folder's name leads out of where it may.
            CacheError: another export runs.
        """
        target = self._folder(order)
        with self._mutex:
            known = self._job
            if known is not None and known.number == number:
                return known
            if known is not None and not known.ended.is_set():
                raise CacheError("An export is running already. Wait for it, or stop it.")
            self._job = job = ExportJob(number)
        threading.Thread(target=self._run, args=(job, order, target), name="export", daemon=True).start()
        return job

    def job(self, number: str) -> ExportJob:
        """An export by its number.

        Raises:
            CacheError: there is none; only the last one is known.
        """
        with self._mutex:
            if self._job is None or self._job.number != number:
                raise CacheError("The engine knows no such export; it was started anew. Export again.")
            return self._job

    def stop(self, number: str) -> None:
        """Stop an export before its next case; nothing of it is left."""
        self.job(number).stop.set()

    def close(self, patience_s: float = 10.0) -> None:
        """The engine ends: stop what runs."""
        with self._mutex:
            job = self._job
        if job is not None:
            job.stop.set()
            job.ended.wait(patience_s)

    def _folder(self, order: ExportOrder) -> Path:
        target = Path(order.folder) if self._anywhere else None
        if target is None or not target.is_absolute():
            target = confined(self._campaign.folder / "exports", order.folder or order.format)
        return target

    def _run(self, job: ExportJob, order: ExportOrder, target: Path) -> None:
        def on_case(done: int, total: int) -> None:
            job.progress = Progress(done, total)

        # Here, since they bring SimpleITK and highdicom along, which an engine starts without.
        from clopa_annotator.campaign.exporting import export
        from clopa_annotator.exporters import ExportTargets, chosen_cases

        try:
            cases = order.cases or None
            asked = ExportTargets(order.targets, order.priority, order.instances)
            if cases is None and order.format in CASE_FORMATS:
                cases = chosen_cases(self._campaign.store, order.choice, asked)
            stop = job.stop.is_set
            report = export(self._campaign, order.format, target, cases, on_case, stop, asked)
            job.result = Exported(str(target), report.written, report.left_out)
        except ClopaError as error:
            job.error = error
        except Exception as error:
            logger.exception("An export failed")
            job.error = CacheError(f"The export failed: {error}. The engine's log has the details.")
        finally:
            job.ended.set()


def confined(root: Path, name: str) -> Path:
    """A folder below ``root``, whatever the name tries.

    Raises:
        InputError: the name leads out of it.
    """
    parts = PurePath(name.replace("\\", "/")).parts
    bad = any(p in ("..", ".", "") or p.startswith("~") or ":" in p or "\0" in p for p in parts)
    target = root.joinpath(*parts)
    if not parts or bad or PurePath(name).is_absolute() or not _inside(target, root):
        raise InputError("Name a folder without a path; it is made in the campaign's folder for exports.")
    return target


def _inside(target: Path, root: Path) -> bool:
    resolved, top = os.path.realpath(target), os.path.realpath(root)
    return os.path.commonpath([resolved, top]) == top and resolved != top

"""Sending the images of listed cases to the engine, so that it can suggest for them: one at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

import qt
from clopa_annotator.errors import ClopaError
from clopa_annotator.wire.messages import CaseRow
from CLoPAAnnotatorLib.annotation.AnnotationSession import AnnotationSession
from CLoPAAnnotatorLib.annotation.CaseList import CaseList
from CLoPAAnnotatorLib.engine.EngineLink import EngineLink
from CLoPAAnnotatorLib.scene.CaseLoading import sourceText
from CLoPAAnnotatorLib.scene.CaseScene import CaseScene
from CLoPAAnnotatorLib.scene.CaseSources import CaseSource
from CLoPAAnnotatorLib.scene.ParameterState import ParameterState

logger = logging.getLogger(__name__)

PAUSE_MS, QUIET_S = 50, 1.0


class Surroundings(Protocol):
    """What is asked of the workspace."""

    state: ParameterState
    session: AnnotationSession
    case: CaseScene
    cases: CaseList
    link: EngineLink

    @property
    def isConnected(self) -> bool: ...


class SendCases:
    """Loads and sends what the engine does not have; reading a file waits until nobody clicks.

    Attributes:
        done: images that were sent or passed over.
        total: images that the engine did not have at the beginning.
        passedOver: cases whose image could not be sent, with the reason.
    """

    def __init__(self, workspace: Surroundings, told: Callable[[], object]) -> None:
        self._workspace, self._told = workspace, told
        self.done = self.total = 0
        self.passedOver: dict[str, str] = {}
        self.isRunning = False
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE_MS)
        self._timer.connect("timeout()", self._next)

    def start(self) -> None:
        """Send every image that the engine does not have."""
        self.passedOver = {}
        self.done, self.total, self.isRunning = 0, len(self._missing()), True
        self._next()

    def stop(self) -> None:
        """Send no further ones."""
        self.isRunning = False
        self._timer.stop()

    def _missing(self) -> list[CaseSource]:
        workspace = self._workspace
        known = {*workspace.cases.rows, *self.passedOver, workspace.session.caseId}
        return [source for source in workspace.state.sources if source.caseId not in known]

    def _next(self) -> None:
        workspace, missing = self._workspace, self._missing()
        if not self.isRunning:
            return
        if not missing or not workspace.isConnected:
            self.stop()
            self._told()
        elif workspace.session.isBusy or not workspace.session.clock.isQuietFor(QUIET_S):
            self._timer.start()
        else:
            self._send(missing[0])

    def _send(self, source: CaseSource) -> None:
        workspace = self._workspace
        volume = None

        def gone(volume: Any) -> None:
            if volume is not None and volume.GetScene() is not None:
                workspace.case.removeIfOwned(volume)
            self.done += 1
            self._told()
            if self.isRunning:
                self._timer.start()

        def sent(row: CaseRow) -> None:
            workspace.cases.rows.setdefault(row.case_id, row)
            gone(volume)

        def refused(error: ClopaError) -> None:
            logger.info("%s is not sent: %s", source.caseId, error)
            self.passedOver[source.caseId] = str(error)
            gone(volume)

        try:
            volume = workspace.case.load(source)
            image = workspace.case.image(volume)
        except ClopaError as error:
            refused(error)
            return
        call = workspace.link.client.prefetch_case(source.caseId, image, sourceText(source, volume))
        call.then(sent, refused)

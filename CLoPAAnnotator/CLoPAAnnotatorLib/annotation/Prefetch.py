"""Getting the next image ready while the user looks at the current one."""

from __future__ import annotations

import logging
from typing import Any, Protocol

import qt
from clopa_annotator.errors import ClopaError
from CLoPAAnnotatorLib.annotation.AnnotationSession import AnnotationSession
from CLoPAAnnotatorLib.annotation.CaseList import CaseList
from CLoPAAnnotatorLib.engine.EngineLink import EngineLink
from CLoPAAnnotatorLib.scene.CaseLoading import sourceText
from CLoPAAnnotatorLib.scene.CaseScene import CaseScene
from CLoPAAnnotatorLib.scene.CaseSources import CaseSource

logger = logging.getLogger(__name__)

AFTER_MS = 2500
QUIET_S = 1.5


class Surroundings(Protocol):
    """What is asked of the workspace: what comes next, and whether anything is going on."""

    session: AnnotationSession
    case: CaseScene
    link: EngineLink
    cases: CaseList

    @property
    def isConnected(self) -> bool: ...

    def nextSource(self) -> CaseSource | None: ...


class Prefetch:
    """Loads the next case's file and sends it, when nothing is awaited and the mouse rests.

    Reading a file blocks Slicer for a moment; that moment is taken while the user is not doing anything. In
    an order by certainty the engine needs every listed image, as it can be sure of none that it has not seen:
    they are sent one by one.
    """

    def __init__(self, workspace: Surroundings) -> None:
        self._workspace = workspace
        self._volumes: dict[str, Any] = {}
        self._tried: set[str] = set()
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(AFTER_MS)
        self._timer.connect("timeout()", self.now)

    def soon(self) -> None:
        """Try in a while."""
        self._timer.start()

    def stop(self) -> None:
        """Do not."""
        self._timer.stop()

    def take(self, caseId: str) -> Any:
        """The volume that is ready for a case, or None."""
        volume = self._volumes.pop(caseId, None)
        return volume if volume is not None and volume.GetScene() is not None else None

    def forget(self) -> None:
        """The scene was closed."""
        self.stop()
        self._volumes.clear()
        self._tried.clear()

    def now(self) -> None:
        """Get the next image ready, or one that the order needs, unless something else is going on."""
        workspace = self._workspace
        source = workspace.nextSource()
        if source is None or not workspace.isConnected:
            return
        isReady = source.path is None or source.caseId in self._volumes
        ahead = workspace.cases.unknown(self._tried) if isReady else None
        if isReady and ahead is None:
            return
        if workspace.session.isBusy or not workspace.session.clock.isQuietFor(QUIET_S):
            self.soon()
        elif ahead is None:
            self._keepOnly(source.caseId)
            self._send(source, isNext=True)
        else:
            self._tried.add(ahead.caseId)
            self._send(ahead, isNext=False)

    def _keepOnly(self, caseId: str) -> None:
        """The order of cases changes with the suggestions: what is not next any more makes room."""
        for other in [name for name in self._volumes if name != caseId]:
            self._workspace.case.removeIfOwned(self._volumes.pop(other))

    def _send(self, source: CaseSource, *, isNext: bool) -> None:
        """Load a case's file and give the engine its image; the volume stays if it is the next case's."""
        workspace = self._workspace
        try:
            volume = workspace.case.load(source)
            if isNext:
                self._volumes[source.caseId] = volume
            image = workspace.case.image(volume)
        except ClopaError as error:
            logger.info("Not prefetched: %s", error)  # said when the case is opened
            return

        def sent(answer: object) -> None:
            if isinstance(answer, ClopaError):
                logger.info("Not prefetched: %s", answer)
            if not isNext:  # until here its voxels were in use
                workspace.case.removeIfOwned(volume)
            self.soon()

        text = sourceText(source, volume)
        workspace.link.client.prefetch_case(source.caseId, image, text).then(sent, sent)

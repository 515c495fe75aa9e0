"""Getting the next image ready while the user looks at the current one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import qt
from clopa_annotator.errors import ClopaError

if TYPE_CHECKING:
    from CLoPAAnnotatorLib.annotation.Workspace import Workspace

logger = logging.getLogger(__name__)

AFTER_MS = 2500
QUIET_S = 1.5


class Prefetch:
    """Loads the next case's file and sends it, when nothing is awaited and the mouse rests.

    Reading a file blocks Slicer for a moment; that moment is taken while the user is not doing anything.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._volumes: dict[str, Any] = {}
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

    def now(self) -> None:
        """Get the next image ready, unless something else is going on."""
        workspace = self._workspace
        source = workspace.nextSource()
        if (
            source is None
            or source.path is None
            or source.caseId in self._volumes
            or not workspace.isConnected
        ):
            return
        if workspace.session.isBusy or not workspace.session.clock.isQuietFor(QUIET_S):
            self.soon()
            return
        try:
            volume = workspace.case.load(source)
            self._volumes[source.caseId] = volume
            image = workspace.case.image(volume)
            workspace.link.client.prefetch_case(source.caseId, image, str(source.path)).then(
                on_error=lambda error: logger.info("Not prefetched: %s", error)
            )
        except ClopaError as error:
            logger.info("Not prefetched: %s", error)  # said when the case is opened

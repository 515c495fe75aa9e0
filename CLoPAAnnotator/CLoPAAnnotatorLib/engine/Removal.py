"""Removing what was downloaded: first it is said what and how large, then it goes, a little at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import qt
from clopa_annotator.errors import ClopaError
from clopa_annotator.models.removal import Step, downloaded_models, measure, remove
from CLoPAAnnotatorLib.annotation.AnnotationView import Mood
from CLoPAAnnotatorLib.engine.Settings import Settings
from CLoPAAnnotatorLib.Texts import tr

SLICE_S = 0.01
"""How long the interface waits at a time; an environment has tens of thousands of files."""


class Removal:
    """The button Remove…, its question, its progress."""

    def __init__(
        self,
        ui: Any,
        settings: Settings,
        say: Callable[[str, Mood], None],
        whyNot: Callable[[], str],
        refresh: Callable[[], None],
    ) -> None:
        """Make it.

        Args:
            ui: the panel's widgets.
            settings: knows the folders.
            say: shows a sentence with a mood.
            whyNot: why nothing can be removed now; empty if it can.
            refresh: told when something was removed.
        """
        self.ui, self._settings, self._say = ui, settings, say
        self._whyNot, self._refresh = whyNot, refresh
        self._steps: Iterator[Step] = iter(())
        self._total, self._problem, self._problems = 0, "", 0
        self._isRemoving = False
        self._timer = qt.QTimer()
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._work)
        ui.removeButton.connect("clicked(bool)", lambda _=False: self.ask())
        ui.removeStart.connect("clicked(bool)", lambda _=False: self.start())
        ui.removeCancel.connect("clicked(bool)", lambda _=False: self.cancel())
        ui.removeBox.setVisible(False)

    @property
    def isRunning(self) -> bool:
        """Whether files are being removed."""
        return self._isRemoving

    def folders(self) -> tuple[Path, ...]:
        """What was downloaded and is there; confirmations that wait for delivery are none of it."""
        settings = self._settings
        own = (settings.environment, settings.tools, settings.uvCache, settings.uvPythons)
        return (*(folder for folder in own if folder.exists()), *downloaded_models())

    def ask(self) -> None:
        """Find out how much it is, then show the question; a second press takes it back."""
        if self.ui.removeBox.isHidden() and not self._refused():
            if not self.folders():
                self._say(tr("Nothing was downloaded, so there is nothing to remove."), "calm")
                return
            self._begin(measure(self.folders()), tr("Looking how much it is …"))
            self.ui.removeStart.enabled = False
        else:
            self.cancel()

    def start(self) -> None:
        """Remove; the user has been asked."""
        if self._refused():
            return
        self._isRemoving = True
        (self._settings.environment / "ready").unlink(missing_ok=True)  # half an engine is none
        self._begin(remove(self.folders()), tr("Removing …"))
        self.ui.removeStart.enabled = False
        self._refresh()

    def cancel(self) -> None:
        """Stop, or take the question back."""
        wasRemoving = self._isRemoving
        self._end()
        if wasRemoving:
            self._say(
                tr("Stopped: {size} are free again. What is left does not work any more; press Remove… or "
                   "Set up….").format(size=_words(self._total)), "warning",
            )  # fmt: skip
        self._refresh()

    def _refused(self) -> bool:
        why = self._whyNot()
        if why:
            self._say(why, "warning")
        return bool(why)

    def _begin(self, steps: Iterator[Step], sentence: str) -> None:
        self._steps, self._total, self._problem, self._problems = steps, 0, "", 0
        self.ui.removePlan.text = sentence
        self.ui.removeBox.setVisible(True)
        self._timer.start()

    def _work(self) -> None:
        end = time.monotonic() + SLICE_S
        while time.monotonic() < end:
            try:
                step = next(self._steps, None)
            except (ClopaError, OSError) as error:
                self._end()
                self._say(str(error), "error")
                return
            if step is None:
                self._timer.stop()
                (self._removed if self._isRemoving else self._measured)()
                return
            self._total += step.size
            self._problem = step.problem or self._problem
            self._problems += bool(step.problem)
        if self._isRemoving:
            self.ui.removePlan.text = tr("Removing … {size} are free again.").format(size=_words(self._total))

    def _measured(self) -> None:
        names = "\n".join(str(folder) for folder in self.folders())
        self.ui.removePlan.text = tr(
            "Removes the engine, its installer and downloaded models, {size}:\n{names}\nCampaigns, and "
            "confirmations that wait for delivery, stay. Set up… installs the engine again."
        ).format(size=_words(self._total), names=names)
        self.ui.removeStart.enabled = True

    def _removed(self) -> None:
        total, problems, problem = self._total, self._problems, self._problem
        self._end()
        if problems:
            said = tr("{size} are free again; {n} files could not be removed ({why}). Close what uses them, "
                      "then press Remove… again.")  # fmt: skip
            self._say(said.format(size=_words(total), n=problems, why=problem), "warning")
        else:
            self._say(tr("Removed: {size} are free again.").format(size=_words(total)), "good")
        self._refresh()

    def _end(self) -> None:
        self._timer.stop()
        self._isRemoving = False
        self._steps = iter(())
        self.ui.removeBox.setVisible(False)


def _words(size: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return tr("{n} bytes").format(n=size)

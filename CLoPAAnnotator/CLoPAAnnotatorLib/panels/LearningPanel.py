"""Section 4 of the panel, for the lead: what is being learned, which weights are in use, and the controls."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import slicer

import qt
from clopa_annotator.client.calls import Call
from clopa_annotator.errors import ClopaError
from clopa_annotator.types import Event, WeightsVersion
from clopa_annotator.wire.learning_messages import EpisodeRow, LearningState
from clopa_annotator.wire.messages import CaseStatistics
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.panels.LearningLines import LearningLines
from CLoPAAnnotatorLib.panels.LearningPlots import LearningPlots
from CLoPAAnnotatorLib.panels.Style import MOODS, TITLE
from CLoPAAnnotatorLib.panels.SuggestionUses import SuggestionUses
from CLoPAAnnotatorLib.Texts import tr

COLUMNS = ("#", "decision", "before", "after", "worst", "train/val", "at case", "min:s")
TELLING = {"learning", "episode_progress", "promoted", "rejected", "episode_failed", "swapped", "rolled_back",
           "version_confirmed", "taken_back", "confirmed", "case_changed", "gap"}  # fmt: skip
LIST_CHANGING = TELLING - {"episode_progress"}
READING_S = 8.0
"""How long a refusal stays before the next state may replace it: events often follow within milliseconds."""
MOOD_OF_PHASE = {"promoted": "good", "confirmed": "good", "rejected": "warning", "taken back": "warning",
                 "failed": "error", "cancelled": "warning"}  # fmt: skip


def dice(value: float | None) -> str:
    """A score for the table."""
    return "–" if value is None else f"{value:.3f}"


def duration(seconds: float | None) -> str:
    """Seconds for people."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def minutes(seconds: float | None) -> str:
    """Seconds for the table."""
    return "–" if seconds is None else f"{round(seconds) // 60}:{round(seconds) % 60:02d}"


def decisionText(row: EpisodeRow) -> str:
    """What became of an episode, in a word."""
    if row.status != "finished":
        return tr(row.status)
    if row.standing and row.promoted:
        return tr(row.standing)
    return tr("promoted") if row.promoted else tr("rejected") if row.promoted is False else tr("finished")


class LearningPanel:
    """Listens to the engine's events and shows them."""

    def __init__(self, ui: Any, workspace: Workspace) -> None:
        self.ui, self._workspace = ui, workspace
        self.state: LearningState | None = None
        self.plots = LearningPlots(slicer.mrmlScene)
        table = ui.episodesTable
        table.setColumnCount(len(COLUMNS))
        table.setHorizontalHeaderLabels([tr(c) for c in COLUMNS])
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(22)
        ui.weightsLabel.setStyleSheet(TITLE)
        self._readUntil = 0.0
        self.lines = LearningLines(ui, workspace, self._lineChosen)
        self.uses = SuggestionUses(ui, workspace)
        self._wire()
        workspace.listeners.events.append(self._heard)
        workspace.listeners.engine.append(self._engineChanged)
        workspace.listeners.targets.append(self.lines.refresh)
        self._show(None)

    def _wire(self) -> None:
        ui = self.ui
        for button, ask in (
            (ui.trainButton, lambda client, _on: client.train_now(self.lines.target)),
            (ui.pauseButton, lambda client, on: client.pause(bool(on), self.lines.target)),
            (ui.cancelEpisodeButton, lambda client, _on: client.cancel_episode(self.lines.target)),
        ):
            button.connect("clicked(bool)", lambda on=False, ask=ask: self._ask(ask(self._client(), on)))
        ui.rollBackButton.connect("clicked(bool)", lambda _=False: self.rollBack())
        ui.swapAtOnce.connect("clicked(bool)", self._onSwapPolicy)
        ui.plotsButton.connect("clicked(bool)", lambda _=False: self.plots.showInLayout())

    def _client(self) -> Any:
        return self._workspace.link.client

    def _ask(self, call: Call[LearningState]) -> None:
        self._readUntil = 0.0
        call.then(self._take, self._refused)

    def _refused(self, error: ClopaError) -> None:
        self._readUntil = time.monotonic() + READING_S
        self.ui.learningLabel.text = str(error)
        self.ui.learningLabel.setStyleSheet(MOODS["warning"])

    # -- listening -----------------------------------------------------------------------------------------

    def _heard(self, event: Event) -> None:
        if event.name not in TELLING or self._client() is None:
            return
        about = event.data.get("target")
        target = self.lines.target if about is None else str(about)
        if target in self.lines.keys:
            self._client().learning(target).then(self._take, self._refused)
        if target == self.lines.target and event.name in LIST_CHANGING:
            self.refreshLists()

    def _engineChanged(self) -> None:
        if self._workspace.isConnected:
            for target in self.lines.keys:
                self._client().learning(target).then(self._take, self._refused)
            self.refreshLists()
        else:
            self.lines.forget()
            self._show(None)

    def _lineChosen(self) -> None:
        self._readUntil = 0.0
        self.plots.use(self.lines.subject)
        self._show(self.lines.states.get(self.lines.target))
        if self._workspace.isConnected:
            self.refreshLists()

    def _take(self, state: LearningState) -> None:
        self.lines.take(state)
        if state.target == self.lines.target:
            self._show(state)
        else:
            self._showTitle()

    def refreshLists(self) -> None:
        """Ask for the chosen target's episodes, versions and statistics."""
        client, target = self._client(), self.lines.target
        self.plots.use(self.lines.subject)

        def still(show: Callable[[Any], None]) -> Callable[[Any], None]:
            return lambda answer: show(answer) if target == self.lines.target else None

        client.episodes(target).then(still(self._showEpisodes), self._refused)
        client.weights(target).then(still(self._showVersions), self._refused)
        client.statistics(target).then(still(self._showStatistics), self._refused)

    # -- acting --------------------------------------------------------------------------------------------

    def rollBack(self) -> None:
        """Use the chosen version from now on."""
        number = self.ui.versionBox.itemData(self.ui.versionBox.currentIndex)
        if number is not None:
            self._ask(self._client().roll_back(int(number), self.lines.target))

    def _onSwapPolicy(self, atOnce: bool) -> None:
        policy = "at once" if atOnce else "between cases"
        self._ask(self._client().set_swap_policy(policy, self.lines.target))

    # -- showing -------------------------------------------------------------------------------------------

    def _show(self, state: LearningState | None) -> None:
        ui, self.state = self.ui, state
        owner = self._workspace.info is not None and self._workspace.info.is_owner and state is not None
        running = state is not None and state.phase in ("training", "checking")
        ui.trainButton.enabled = owner and not running
        ui.pauseButton.enabled = ui.swapAtOnce.enabled = ui.rollBackButton.enabled = owner
        ui.cancelEpisodeButton.enabled = owner and running
        ui.plotsButton.enabled = state is not None
        if state is None:
            ui.learningLabel.text = tr("Not connected.")
            ui.learningLabel.setStyleSheet(MOODS["calm"])
            ui.learningBar.setVisible(False)
            ui.weightsLabel.text = ""
            ui.learningSection.text = tr("4  Learning")
            return
        ui.pauseButton.checked = state.paused
        ui.swapAtOnce.checked = state.swap_policy == "at once"
        if running or time.monotonic() >= self._readUntil:
            ui.learningLabel.text = self.sentence(state)
            ui.learningLabel.setStyleSheet(MOODS[MOOD_OF_PHASE.get(state.phase, "calm")])
        self._showBar(state)
        self._showWeights(state)
        self._showTitle()

    def _showTitle(self) -> None:
        """What goes on, of whatever target; else how the one that is shown stands."""
        if self.state is not None:
            training = tr("training {target}").format(target=self.lines.training)
            phase = training if self.lines.training else tr(self.state.phase)
            self.ui.learningSection.text = tr("4  Learning: {phase}").format(phase=phase)

    @staticmethod
    def sentence(state: LearningState) -> str:
        """The state in words, with the progress of a running episode."""
        if state.phase != "training":
            return state.sentence
        if state.epochs == 0:
            return tr("Episode {n} is starting. You can go on annotating.").format(n=state.episode)
        parts = [
            tr("Episode {n} is training: epoch {e} of {of}").format(
                n=state.episode, e=state.epoch, of=state.epochs
            )
        ]
        if state.loss is not None:
            parts.append(tr("loss {loss:.3f}").format(loss=state.loss))
        if state.seconds_left is not None:
            parts.append(tr("about {time} left").format(time=duration(state.seconds_left)))
        return ", ".join(parts) + ". " + tr("You can go on annotating.")

    def _showBar(self, state: LearningState) -> None:
        bar = self.ui.learningBar
        running = state.phase in ("training", "checking")
        bar.setVisible(running or state.phase in ("waiting", "idle", "paused"))
        if running:
            bar.maximum, bar.value = max(state.epochs, 1), state.epoch
            training = tr("epoch %v of %m") if state.epochs else tr("starting")
            bar.setFormat(training if state.phase == "training" else tr("checking"))
        else:
            bar.maximum, bar.value = max(state.needed, 1), min(state.gathered, max(state.needed, 1))
            bar.setFormat(tr("%v of %m cases"))

    def _showWeights(self, state: LearningState) -> None:
        info = self._workspace.info
        name = tr("the untouched model") if state.weights_version == 0 else tr("adapted to this campaign")
        text = tr("Weights in use: version {v}, {name}.").format(v=state.weights_version, name=name)
        if state.waiting_version is not None:
            text += " " + tr("Version {v} comes into use with the next case.").format(v=state.waiting_version)
        if info is not None:
            text += "\n" + tr("Licence: {licence}").format(licence=info.licence)
        self.ui.weightsLabel.text = text

    def _showStatistics(self, statistics: tuple[CaseStatistics, ...]) -> None:
        self.plots.setStatistics(statistics)
        self.uses.setStatistics(statistics)

    def _showEpisodes(self, rows: tuple[EpisodeRow, ...]) -> None:
        table = self.ui.episodesTable
        table.setRowCount(len(rows))
        for line, row in enumerate(reversed(rows)):
            worst = "–" if row.worst_change is None else f"{row.worst_change:+.3f}"
            cells = (str(row.number), decisionText(row), dice(row.mean_before), dice(row.mean_after), worst,
                     f"{row.train}/{row.val}", str(row.at_case), minutes(row.seconds))  # fmt: skip
            for column, text in enumerate(cells):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(f"{row.started}\n{row.reason}\n{row.verdict}".strip())
                table.setItem(line, column, item)
        table.resizeColumnsToContents()
        self.plots.setEpisodes(rows)

    def _showVersions(self, versions: tuple[WeightsVersion, ...]) -> None:
        box = self.ui.versionBox
        chosen = box.itemData(box.currentIndex) if box.count else None
        box.blockSignals(True)
        box.clear()
        for version in reversed(versions):
            kind = (
                tr("untouched model") if version.number == 0 else tr("episode {n}").format(n=version.episode)
            )
            decision = version.decision
            if version.standing:
                kind += ", " + tr(version.standing)
            elif decision is not None and not decision.promoted:
                kind += ", " + tr("rejected")
            box.addItem(tr("Version {v} ({kind})").format(v=version.number, kind=kind), version.number)
        found = box.findData(chosen)
        box.setCurrentIndex(max(found, 0))
        box.blockSignals(False)

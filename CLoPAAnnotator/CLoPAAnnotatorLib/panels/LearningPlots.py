"""The lead's plots, in Slicer's own table, series and chart nodes, so that they save and export as any other.

Four charts: quality of the first proposal per case with episode marks, prompts and active seconds per case,
training loss, validation score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer
import vtk

from clopa_annotator.types import SuggestionUse
from clopa_annotator.types.uses import COLOURS, IN_WORDS, SHOWN
from clopa_annotator.wire.learning_messages import EpisodeRow
from clopa_annotator.wire.messages import CaseStatistics
from CLoPAAnnotatorLib.Texts import tr

ATTRIBUTE = "CLoPA.Plot"
GREEN, ORANGE, GREY = (0.18, 0.62, 0.36), (0.85, 0.60, 0.11), (0.5, 0.5, 0.5)
Column = tuple[str, Sequence[float]]
Colour = tuple[float, float, float]
Numbered = tuple[int, CaseStatistics]


class LearningPlots:
    """Keeps one table per subject and the charts over them."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._subject = ""
        self._episodes: tuple[EpisodeRow, ...] = ()
        self._statistics: tuple[CaseStatistics, ...] = ()

    def use(self, subject: str) -> None:
        """Draw what comes for this target; each has charts of its own. Empty in a campaign with one."""
        if subject != self._subject:
            self._subject = subject
            self.forget()

    def setStatistics(self, statistics: tuple[CaseStatistics, ...]) -> None:
        """New confirmations."""
        if statistics != self._statistics:
            self._statistics = statistics
            self._drawCases()

    def setEpisodes(self, episodes: tuple[EpisodeRow, ...]) -> None:
        """New or changed episodes."""
        if episodes != self._episodes:
            self._episodes = episodes
            self._drawCases()
            self._drawEpisodes()

    def forget(self) -> None:
        """The scene was closed: draw anew with the next numbers."""
        self._episodes, self._statistics = (), ()

    def charts(self) -> list[Any]:
        """The chart nodes that exist for the target in use."""
        nodes = self._scene.GetNodesByClass("vtkMRMLPlotChartNode")
        nodes.UnRegister(None)
        found = [nodes.GetItemAsObject(i) for i in range(nodes.GetNumberOfItems())]
        names = [(node, node.GetAttribute(ATTRIBUTE)) for node in found]
        return [node for node, name in names if name and name.startswith(self._named(""))]

    def _named(self, name: str) -> str:
        return f"{self._subject}: {name}" if self._subject else name

    def _drawCases(self) -> None:
        shown = self._statistics
        if not shown:
            return
        numbered = list(enumerate(shown, start=1))
        apart = self._apart(numbered)
        series = [
            self._series(
                _named("First proposal", use),
                self._table(
                    _named("first proposal", use),
                    # a case without a first proposal has no quality to show; it is left out of that chart
                    _columns("Dice", [(n, s.first_shown_dice) for n, s in own]),
                ),
                "case",
                "Dice",
                COLOURS[use],
            )
            for use, own in apart.items()
        ]
        marks = [e.at_case + 0.5 for e in self._episodes if e.promoted]
        if marks:
            lines = self._table(
                "episodes", [("case", [m for m in marks for _ in (0, 1)]), ("Dice", [0.0, 1.0] * len(marks))]
            )
            series.append(self._series("New weights", lines, "case", "Dice", GREY, isLine=False))
        self._chart(
            "Quality of the first proposal", series, "case", "Dice against what was confirmed", (0.0, 1.0)
        )
        self._drawEffort("Prompts", "prompts", GREEN, [(n, s, float(s.prompts)) for n, s in numbered])
        self._drawEffort("Time", "seconds", ORANGE, [(n, s, s.seconds_active) for n, s in numbered])
        self._drawSuggested(apart)

    def _drawEffort(
        self, title: str, unit: str, colour: Colour, cases: Sequence[tuple[int, CaseStatistics, float]]
    ) -> None:
        """What each case cost; a line of its own for each use of suggestions."""
        series = []
        for use in IN_WORDS:
            own = [(n, value) for n, s, value in cases if s.suggestion is use]
            if own:
                table = self._table(_named(f"effort {unit}", use), _columns(unit, own))
                look = colour if use is SuggestionUse.NONE else COLOURS[use]
                series.append(self._series(_named(title, use), table, "case", unit, look))
        self._chart(f"{title} per case", series, "case", "active seconds" if unit == "seconds" else unit)

    def _drawSuggested(self, apart: dict[SuggestionUse, list[Numbered]]) -> None:
        """How good suggestions were, those that were shown and those that were withheld: like with like."""
        cases = [case for own in apart.values() for case in own if case[1].suggestion_dice is not None]
        series = []
        for name, uses, colour in (
            ("Suggestion shown", SHOWN, COLOURS[SuggestionUse.UNTOUCHED]),
            ("Suggestion withheld", (SuggestionUse.WITHHELD,), COLOURS[SuggestionUse.WITHHELD]),
        ):
            own = sorted((n, s.suggestion_dice) for n, s in cases if s.suggestion in uses)
            if own:
                table = self._table(name.lower(), _columns("Dice", own))
                series.append(self._series(name, table, "case", "Dice", colour))
        if series:
            title = "Quality of the suggestion"
            self._chart(title, series, "case", "Dice against what was confirmed", (0.0, 1.0))

    def _apart(self, numbered: Sequence[Numbered]) -> dict[SuggestionUse, list[Numbered]]:
        """Cases with their numbers, by what was made of their suggestions."""
        found = {use: [case for case in numbered if case[1].suggestion is use] for use in IN_WORDS}
        return {use: own for use, own in found.items() if own}

    def _drawEpisodes(self) -> None:
        loss, score = [], []
        for row in self._episodes:
            for name, values, into, colour in (
                ("loss", row.train_loss, loss, ORANGE),
                ("score", row.val_score, score, GREEN),
            ):
                if values:
                    epochs = [float(i + (name == "loss")) for i in range(len(values))]
                    table = self._table(f"episode {row.number} {name}", [("epoch", epochs), (name, values)])
                    into.append(self._series(f"Episode {row.number} {name}", table, "epoch", name, colour))
        if loss:
            self._chart("Training loss", loss, "epoch", "loss")
        if score:
            self._chart("Score on held-out patches", score, "epoch", "score")

    # -- nodes ---------------------------------------------------------------------------------------------

    def _node(self, kind: str, name: str) -> Any:
        name = self._named(name)
        found = self._scene.GetNodesByClassByName(kind, f"CLoPA {name}")
        found.UnRegister(None)
        if found.GetNumberOfItems():
            return found.GetItemAsObject(0)
        node = self._scene.AddNewNodeByClass(kind, f"CLoPA {name}")
        node.SetAttribute(ATTRIBUTE, name)
        return node

    def _table(self, name: str, columns: Sequence[Column]) -> Any:
        node = self._node("vtkMRMLTableNode", name)
        table = vtk.vtkTable()
        for title, values in columns:
            array = vtk.vtkDoubleArray()
            array.SetName(title)
            for value in values:
                array.InsertNextValue(float(value))
            table.AddColumn(array)
        node.SetAndObserveTable(table)
        return node

    def _series(
        self,
        name: str,
        table: Any,
        x: str,
        y: str,
        colour: Colour,
        *,
        isLine: bool = True,
    ) -> Any:
        node = self._node("vtkMRMLPlotSeriesNode", name)
        node.SetAndObserveTableNodeID(table.GetID())
        node.SetXColumnName(x)
        node.SetYColumnName(y)
        node.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        node.SetLineStyle(
            slicer.vtkMRMLPlotSeriesNode.LineStyleSolid
            if isLine
            else slicer.vtkMRMLPlotSeriesNode.LineStyleNone
        )
        node.SetMarkerStyle(
            slicer.vtkMRMLPlotSeriesNode.MarkerStyleCircle
            if isLine
            else slicer.vtkMRMLPlotSeriesNode.MarkerStyleDiamond
        )
        node.SetColor(*colour)
        return node

    def _chart(
        self, title: str, series: Sequence[Any], x: str, y: str, range_: tuple[float, float] | None = None
    ) -> None:
        node = self._node("vtkMRMLPlotChartNode", title)
        ids = [item.GetID() for item in series]
        for plotId in ids:
            if not node.HasPlotSeriesNodeID(plotId):
                node.AddAndObservePlotSeriesNodeID(plotId)
        node.SetTitle(self._named(tr(title)))
        node.SetXAxisTitle(tr(x))
        node.SetYAxisTitle(tr(y))
        if range_ is not None:
            node.SetYAxisRangeAuto(False)
            node.SetYAxisRange(*range_)

    def showInLayout(self) -> None:
        """Put the quality chart beside the slices; the others can be chosen in the plot view."""
        charts = self.charts()
        if charts:
            slicer.modules.plots.logic().ShowChartInLayout(charts[0])


def _named(name: str, use: SuggestionUse) -> str:
    """A table's name; the usual one where there was no suggestion."""
    return name if use is SuggestionUse.NONE else f"{name}, {IN_WORDS[use]}"


def _columns(unit: str, values: Sequence[tuple[int, float | None]]) -> list[Column]:
    """Case numbers and values, without those that there are none of."""
    known = [(float(n), value) for n, value in values if value is not None]
    return [("case", [n for n, _ in known]), (unit, [value for _, value in known])]

"""Draws a plot chart node offscreen, as Slicer's plot view does: for pictures only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import vtk


def draw_chart(node: Any, path: Path, size: tuple[int, int] = (640, 360)) -> None:
    """Write a chart node's series as a PNG."""
    chart = vtk.vtkChartXY()
    chart.SetTitle(node.GetTitle())
    chart.GetAxis(vtk.vtkAxis.BOTTOM).SetTitle(node.GetXAxisTitle())
    chart.GetAxis(vtk.vtkAxis.LEFT).SetTitle(node.GetYAxisTitle())
    for number in range(node.GetNumberOfPlotSeriesNodes()):
        series = node.GetNthPlotSeriesNode(number)
        plot = chart.AddPlot(vtk.vtkChart.LINE)
        plot.SetInputData(series.GetTableNode().GetTable(), series.GetXColumnName(), series.GetYColumnName())
        plot.SetColorF(*series.GetColor())
        plot.SetWidth(2.0)
        plot.SetLabel(series.GetName().removeprefix("CLoPA "))
        plot.SetMarkerStyle(series.GetMarkerStyle())
        if series.GetLineStyle() == series.LineStyleNone:
            plot.GetPen().SetLineType(vtk.vtkPen.NO_PEN)
    chart.SetShowLegend(True)
    view = vtk.vtkContextView()
    view.GetRenderer().SetBackground(1, 1, 1)
    view.GetRenderWindow().SetOffScreenRendering(1)
    view.GetRenderWindow().SetSize(*size)
    view.GetScene().AddItem(chart)
    view.GetRenderWindow().Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(view.GetRenderWindow())
    grab.ReadFrontBufferOff()
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputConnection(grab.GetOutputPort())
    writer.Write()

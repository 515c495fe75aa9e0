"""CLoPA Annotator's scripted module: wiring only. What it does is in CLoPAAnnotatorLib."""

from __future__ import annotations

import sys
from pathlib import Path

import slicer
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from CLoPAAnnotatorLib.Texts import tr as _


class CLoPAAnnotator(ScriptedLoadableModule):
    """The module as Slicer's module finder knows it."""

    def __init__(self, parent) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("CLoPA Annotator")
        parent.categories = ["Segmentation"]
        parent.dependencies = []
        parent.contributors = ["CLoPA Annotator contributors"]
        parent.helpText = _(
            "Segment with a few clicks; what you confirm makes the model better at your own data while you "
            "go on. See the user guide: docs/user-guide.md in the extension's repository."
        )
        parent.acknowledgementText = _(
            "Builds on nnInteractive (Isensee et al.) and on CLoPA (Esmaeili et al.). For research use; not "
            "a medical device."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData() -> None:
    """Offer this module's volumes in the module Sample Data, once every module is there."""
    from CLoPAAnnotatorLib.scene.SampleVolumes import registerSampleData as register

    register()


class CLoPAAnnotatorWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The module's panel: loads the .ui file and hands its parts to the panels."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._isBuilt = False  # Slicer goes on to enter, exit and clean up a panel whose setup failed

    def setup(self) -> None:
        """Build the panel."""
        ScriptedLoadableModuleWidget.setup(self)
        from CLoPAAnnotatorLib.caselist.CasesPanel import CasesPanel
        from CLoPAAnnotatorLib.engine.Settings import Settings
        from CLoPAAnnotatorLib.panels.AnnotatePanel import AnnotatePanel
        from CLoPAAnnotatorLib.panels.CampaignPanel import CampaignPanel
        from CLoPAAnnotatorLib.panels.LearningPanel import LearningPanel
        from CLoPAAnnotatorLib.panels.SuggestAll import SuggestAll
        from CLoPAAnnotatorLib.panels.TargetsForm import TargetsForm
        from CLoPAAnnotatorLib.panels.TransferPanel import TransferPanel
        from CLoPAAnnotatorLib.review.ReviewPanel import ReviewPanel

        widget = slicer.util.loadUI(self.resourcePath("UI/CLoPAAnnotator.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = CLoPAAnnotatorLogic()
        self.workspace = self.logic.makeWorkspace()
        settings = Settings(slicer.app.userSettings(), Path.home() / ".clopa-annotator")
        self.campaignPanel = CampaignPanel(self.ui, self.workspace, settings)
        self.targetsForm = TargetsForm(self.ui, self.workspace)
        self.casesPanel = CasesPanel(self.ui, self.workspace)
        self.suggestAll = SuggestAll(self.ui, self.workspace)
        self.annotatePanel = AnnotatePanel(self.ui, self.workspace)
        self.learningPanel = LearningPanel(self.ui, self.workspace)
        self.transferPanel = TransferPanel(self.ui, self.workspace, settings)
        self.reviewPanel = ReviewPanel(self.ui, self.workspace, self.annotatePanel.gestures)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._onSceneStartsClosing)
        self.addObserver(scene, scene.EndCloseEvent, self._onSceneClosed)
        self.addObserver(scene, scene.EndImportEvent, self._onSceneLoaded)
        self._isBuilt = True

    def enter(self) -> None:
        """The module is shown."""
        if self._isBuilt:
            self.annotatePanel.enter()
            self.reviewPanel.enter()

    def exit(self) -> None:
        """Another module is shown."""
        if self._isBuilt:
            self.reviewPanel.exit()
            self.annotatePanel.exit()

    def onReload(self) -> None:
        """Take in the library's changed files too, and listen: Slicer does not enter a reloaded module."""
        for name in [n for n in sys.modules if n.split(".")[0] in ("CLoPAAnnotatorLib", "clopa_annotator")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)
        getattr(slicer.modules, self.moduleName + "Widget").enter()

    def cleanup(self) -> None:
        """The module goes away."""
        self.removeObservers()
        if not self._isBuilt:
            return
        self.reviewPanel.exit()
        self.reviewPanel.marks.clear()
        self.annotatePanel.exit()
        self.annotatePanel.surface.close()
        self.suggestAll.sending.stop()
        self.workspace.closeCase()
        self.campaignPanel.close()

    def _onSceneStartsClosing(self, _caller, _event) -> None:
        self.workspace.session.drafts.save()

    def _onSceneClosed(self, _caller, _event) -> None:
        self.learningPanel.plots.forget()
        self.workspace.sceneClosed()

    def _onSceneLoaded(self, _caller, _event) -> None:
        self.workspace.attempt(self.workspace.sceneLoaded)
        self.annotatePanel.setPositive(self.workspace.state.isPositive)
        self.annotatePanel.setTool(self.workspace.state.tool)


class CLoPAAnnotatorLogic(ScriptedLoadableModuleLogic):
    """The parameter node, and the workspace over it."""

    def makeWorkspace(self):
        """The module's brain on Slicer's scene."""
        from CLoPAAnnotatorLib.annotation.Workspace import Workspace
        from CLoPAAnnotatorLib.scene.ParameterState import ParameterState

        return Workspace(slicer.mrmlScene, ParameterState(self.getParameterNode))


class CLoPAAnnotatorTest(ScriptedLoadableModuleTest):
    """What can be tested inside a real Slicer without an engine process."""

    def setUp(self) -> None:
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run every test."""
        self.setUp()
        from CLoPAAnnotatorLib.SelfTest import runSelfTest

        runSelfTest(CLoPAAnnotatorLogic().makeWorkspace())
        self.delayDisplay(_("Test passed"))

"""The module's test inside a real Slicer: a case, a click, undo, Confirm, with the in-process engine."""

from __future__ import annotations

import time

import numpy as np
import slicer

from clopa_annotator.testing.fake_campaign import FakeCampaign
from clopa_annotator.testing.fake_engine import FakeEngineClient
from clopa_annotator.types import Targets
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.scene.CaseSources import CaseSource
from CLoPAAnnotatorLib.scene.PromptShapes import SlicePlane
from CLoPAAnnotatorLib.scene.VolumeGrid import toNumpy

SECONDS = 20.0


def _waitUntil(condition, what: str) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        slicer.app.processEvents()
        if time.monotonic() > end:
            raise TimeoutError(f"The self test waited too long for {what}.")


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise AssertionError(f"The self test failed: {what}.")


def runSelfTest(workspace: Workspace) -> None:
    """Annotate a generated ball from click to Confirm; raises if anything is not as it should be."""
    distance = np.sqrt(((np.indices((24, 32, 40)) - np.array([12, 16, 20])[:, None, None, None]) ** 2).sum(0))
    voxels = np.where(distance < 5, 200, 20).astype(np.int16) + np.arange(40, dtype=np.int16) % 3
    volume = slicer.util.addVolumeFromArray(voxels)
    workspace.addSources((CaseSource("self test", None, volume.GetID()),))
    _testOneTarget(workspace)
    _testThreeTargets(workspace)


def _open(workspace: Workspace, campaign: FakeCampaign) -> None:
    workspace.connectTo(FakeEngineClient(campaign))
    _waitUntil(lambda: workspace.isConnected, "the engine")
    workspace.openCase("self test")
    _waitUntil(lambda: workspace.session.isOpen, "the case")


def _click(workspace: Workspace) -> None:
    sliceNode = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    sliceNode.JumpSliceByOffsetting(20, 16, 12)
    inverse = np.linalg.inv(toNumpy(sliceNode.GetXYToRAS()))
    xy = (inverse @ np.array([20.0, 16.0, 12.0, 1.0]))[None, :2]
    workspace.gesture("point", True, xy, SlicePlane(toNumpy(sliceNode.GetXYToRAS())))
    _waitUntil(lambda: workspace.session.isSettled, "the proposal")


def _testOneTarget(workspace: Workspace) -> None:
    campaign = FakeCampaign()
    _open(workspace, campaign)
    _click(workspace)
    _require(workspace.currentMask()[12, 16, 20] == 1, "the clicked voxel is in the proposal")
    workspace.session.undo()
    _waitUntil(lambda: not workspace.session.isBusy, "undo")
    _require(not workspace.currentMask().any(), "undo empties the proposal")
    workspace.session.redo()
    _waitUntil(lambda: not workspace.session.isBusy, "redo")
    workspace.session.confirm("self test", "")
    _waitUntil(lambda: workspace.session.isConfirmed, "the confirmation")
    _require(len(campaign.statistics()) == 1, "one case was confirmed")
    workspace.disconnect()


def _testThreeTargets(workspace: Workspace) -> None:
    campaign = FakeCampaign(targets=Targets.named(("liver", "kidney", "spleen")))
    _open(workspace, campaign)
    session = workspace.session
    _click(workspace)
    workspace.selectNumber(2)
    _waitUntil(lambda: session.isSettled, "the second target")
    _require(not session.prompts and not workspace.currentMask().any(), "the second target starts empty")
    session.confirmAbsent("self test", "")
    _waitUntil(lambda: session.isConfirmed, "the confirmation that it is not there")
    workspace.selectNumber(1)
    _waitUntil(lambda: session.isSettled, "the first target again")
    _require(
        workspace.currentMask()[12, 16, 20] == 1 and session.work.canUndo, "its proposal and undo are there"
    )
    segmentation = workspace.case.proposal.node.GetSegmentation()
    names = [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]
    _require(names == ["liver", "kidney", "spleen"], "every target has a segment")
    states = [line.state for line in workspace.targets.lines()]
    _require(states == ["draft", "not present", "open"], "the list says how each target stands")
    workspace.disconnect()

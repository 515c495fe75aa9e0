"""The module's own test, which Slicer's test runner and the button "Reload and Test" start."""

from __future__ import annotations

import unittest

import pytest
from conftest import MODULE


def test_the_modules_own_test_passes_as_slicers_runner_runs_it(host, home):
    module = host.loadModule(MODULE)
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(module.CLoPAAnnotatorTest)
    assert suite.countTestCases() == 1
    result = unittest.TestResult()
    suite.run(result)
    assert result.wasSuccessful(), [text for _, text in (*result.errors, *result.failures)]


def test_it_leaves_the_scene_as_it_found_it_and_would_tell_a_failure(host, home, monkeypatch):
    import slicer

    module = host.loadModule(MODULE)
    slicer.modules.CLoPAAnnotatorInstance.runTest()
    assert not host.scene.GetNodesByClass("vtkMRMLSegmentationNode").GetNumberOfItems()
    from CLoPAAnnotatorLib.scene.ProposalSegment import ProposalSegment

    monkeypatch.setattr(ProposalSegment, "write", lambda *_args: None)
    with pytest.raises(AssertionError, match="the clicked voxel is in the proposal"):
        module.CLoPAAnnotatorTest().runTest()

"""A campaign of three targets on generated volumes: two organs beside each other, and lesions."""

from __future__ import annotations

import numpy as np

from clopa_annotator.testing.fake_campaign import FakeCampaign
from clopa_annotator.testing.fake_engine import FakeEngineClient
from clopa_annotator.types import CodedTerm, Slot, Target, Targets

SHAPE = (30, 40, 50)
TARGETS = Targets(
    (
        Target("liver", colour=(221, 130, 101), code=CodedTerm("SCT", "10200004", "Liver")),
        Target("left kidney", "left-kidney", (185, 102, 83)),
        Target("lesion", "lesion", (144, 238, 144), instances=True),
    )
)
LIVER, KIDNEY, LESION, SECOND = Slot(), Slot("left-kidney"), Slot("lesion"), Slot("lesion", 2)
CENTRES = {LIVER: (15, 20, 15), KIDNEY: (15, 20, 36), LESION: (7, 8, 36), SECOND: (23, 32, 36)}
RADII = {LIVER: 8.0, KIDNEY: 6.0, LESION: 4.0, SECOND: 4.0}


def a_volume(seed=0):
    """Four bright balls on a dark, noisy ground; (k, j, i), float32."""
    volume = np.random.default_rng(seed).normal(0, 0.05, SHAPE)
    for slot, centre in CENTRES.items():
        distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(np.indices(SHAPE), centre, strict=True)))
        volume += (1.0 - 0.15 * list(CENTRES).index(slot)) * (distance < RADII[slot])
    return volume.astype(np.float32)


def a_client(campaign=None, annotator="tester"):
    """An in-process engine with a campaign of three targets."""
    return FakeEngineClient(campaign or FakeCampaign(targets=TARGETS), annotator=annotator)


def click_on(driver, slot, view="Red", button="Left"):
    """A click in the middle of a structure."""
    driver.click(driver.world(None, CENTRES[slot]), view, button)
    driver.settle()


def lines(driver):
    table = driver.ui.targetsTable
    return [tuple(table.item(row, column).text() for column in range(1, 3)) for row in range(table.rowCount)]


def chosen(driver):
    return driver.ui.targetsTable.currentRow()


def segments(driver):
    segmentation = driver.workspace.state.segmentation.GetSegmentation()
    return {
        segmentation.GetNthSegment(n).GetName(): segmentation.GetNthSegmentID(n)
        for n in range(segmentation.GetNumberOfSegments())
    }


def voxels(driver, name):
    import slicer

    node, volume = driver.workspace.state.segmentation, driver.workspace.case.volume
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, segments(driver)[name], volume) > 0


def record(driver, slot, case="case"):
    return driver.client.campaign.case(case).slot(slot)

"""Exported DICOM segmentations against the standard's tables of modules and attributes (from highdicom).

What dciodvfy checks beyond these (conditions, values that go together) no library at hand gives; what a value
may be is pydicom's to check.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import highdicom._standard_utils as standard
import pydicom
import pytest
import test_exporters

from clopa_annotator.exporters import export

dicom_store = test_exporters.dicom_store


FRAMES, SHARED = "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"

GROUPS = (
    *("FrameContentSequence", "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"),
    *("SegmentIdentificationSequence", "DerivationImageSequence"),
)
"""What every frame of a segmentation of a patient's images has (PS3.3, A.51.5)."""


@pytest.fixture
def made(dicom_store, tmp_path: Path) -> pydicom.Dataset:
    assert export(dicom_store, "dicomseg", tmp_path / "out").written == ("ct",)
    with warnings.catch_warnings(), pydicom.config.strict_reading():
        warnings.simplefilter("error")
        dataset = pydicom.dcmread(tmp_path / "out" / "ct.dcm")
        dataset.walk(lambda _, element: element.value)  # values are looked at when they are asked for
    return dataset


def mandatory(dataset: pydicom.Dataset) -> list[str]:
    """The modules that an object of this class must have (DICOM PS3.3, A.51)."""
    iod = standard.get_sop_class_iod_map()[dataset.SOPClassUID]
    return [m["key"] for m in standard.get_iod_module_map()[iod] if m["usage"] == "M"]


def test_every_module_has_what_it_must_have_at_every_depth(made) -> None:
    modules = mandatory(made)
    assert {"patient", "general-study", "segmentation-series", "segmentation-image"} <= set(modules)
    for module in modules:
        grouped = any(row["path"][:1] == [FRAMES] for row in standard.get_module_attribute_map()[module])
        standard.check_required_attributes(made, module, recursive=not grouped)
        for frame in made[FRAMES] if grouped else ():
            groups = pydicom.Dataset(made[SHARED][0])  # a group stands in one of the two places
            groups.update(frame)
            assert groups.keys() >= {pydicom.datadict.tag_for_keyword(name) for name in GROUPS}
            for group in groups:  # others than these are for slides, which the tables do not tell apart
                standard.check_required_attributes(group.value[0], module, base_path=[FRAMES, group.keyword])


def test_what_must_have_a_value_has_one(made) -> None:
    for module in mandatory(made):
        for row in standard.get_module_attribute_map()[module]:
            if row["type"] == "1" and not row["path"]:
                assert made.get(row["keyword"]) not in (None, ""), row["keyword"]


def test_the_check_sees_what_is_missing(made) -> None:
    del made.SegmentSequence[0].SegmentAlgorithmType
    with pytest.raises(AttributeError, match="SegmentAlgorithmType"):
        standard.check_required_attributes(made, "segmentation-image")

"""Exported DICOM segmentations against the standard's tables of modules and attributes (from highdicom).

Conditions (types 1C and 2C) no library at hand checks: those that can become true here are the table of
`dicom_conditions`. What a value may be is pydicom's to check.
"""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import highdicom._standard_utils as standard
import pydicom
import pytest
import test_exporters

from clopa_annotator.exporters import dicom_conditions, export
from clopa_annotator.exporters.dicom_conditions import unmet
from clopa_annotator.types import CodedTerm, Targets

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


# -- conditions (types 1C and 2C) ---------------------------------------------------------------------------


def exported(store, tmp_path: Path, **changes: object) -> tuple[object, pydicom.Dataset | None]:
    """The report and the object of a series whose instances were changed so; None takes an attribute away."""
    for path in (tmp_path / "series").glob("*.dcm"):
        instance = pydicom.dcmread(path)
        for name, value in changes.items():
            setattr(instance, name, value)
        instance.save_as(path)
    report = export(store, "dicomseg", tmp_path / "out")
    path = tmp_path / "out" / "ct.dcm"
    return report, pydicom.dcmread(path) if path.exists() else None


def test_what_is_exported_meets_every_condition(made) -> None:
    assert unmet(made) == []
    assert "SpecificCharacterSet" not in made, "nothing in it needs one"


def test_texts_beyond_ascii_come_with_their_character_set(dicom_store, tmp_path) -> None:
    target = dicom_store.targets[0]
    dicom_store.set_targets(Targets([replace(target, name="Läsion")]))
    report, made = exported(
        dicom_store, tmp_path, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg"
    )
    assert report.written == ("ct",)
    assert made.SpecificCharacterSet == "ISO_IR 192"
    assert str(made.PatientName) == "Müller^Jörg" and made.SegmentSequence[0].SegmentLabel == "Läsion"


def test_an_image_that_was_compressed_with_loss_says_how_or_is_left_out(dicom_store, tmp_path) -> None:
    report, made = exported(dicom_store, tmp_path, LossyImageCompression="01")
    assert made is None
    assert "LossyImageCompressionRatio (of images compressed with loss)" in dict(report.left_out)["ct"]
    said = {"LossyImageCompressionRatio": "10", "LossyImageCompressionMethod": "ISO_10918_1"}
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    report, made = exported(dicom_store, tmp_path, **said)
    assert made.LossyImageCompressionMethod == "ISO_10918_1" and unmet(made) == []


def test_an_optional_fact_without_what_belongs_to_it_is_not_copied(dicom_store, tmp_path) -> None:
    report, made = exported(dicom_store, tmp_path, PatientIdentityRemoved="YES", ResponsiblePerson="Doe^J")
    assert report.written == ("ct",)
    assert "PatientIdentityRemoved" not in made and "ResponsiblePerson" not in made
    shutil.rmtree(tmp_path / "out")
    _, made = exported(dicom_store, tmp_path, PatientIdentityRemoved="YES", DeidentificationMethod="By hand")
    assert (made.PatientIdentityRemoved, made.DeidentificationMethod) == ("YES", "By hand")


def test_a_code_of_more_than_sixteen_characters_is_written_whole(dicom_store, tmp_path) -> None:
    term = CodedTerm("SCT", "12345678901234567", "Long one")
    dicom_store.set_targets(Targets([replace(dicom_store.targets[0], code=term)]))
    _, made = exported(dicom_store, tmp_path)
    (code,) = made.SegmentSequence[0].SegmentedPropertyTypeCodeSequence
    assert code.LongCodeValue == term.value and "CodeValue" not in code


@pytest.mark.parametrize(
    ("sequence", "keyword"),
    [
        ("SegmentSequence", "SegmentAlgorithmName"),
        ("PixelMeasuresSequence", "SliceThickness"),
        ("PlanePositionSequence", "ImagePositionPatient"),
        ("PlaneOrientationSequence", "ImageOrientationPatient"),
        ("FrameContentSequence", "DimensionIndexValues"),
        ("SegmentedPropertyTypeCodeSequence", "CodingSchemeDesignator"),
        ("", "FrameOfReferenceUID"),
        ("", "ReferencedSeriesSequence"),
    ],
)
def test_each_condition_can_fail(made, sequence, keyword) -> None:
    for item in dicom_conditions._items(made, sequence) if sequence else (made,):
        del item[keyword]
    assert [words.split()[0] for words in unmet(made)] == [keyword]


@pytest.mark.parametrize(
    ("given", "lacking"),
    [
        ({"SegmentationType": "FRACTIONAL"}, ["SegmentationFractionalType", "MaximumFractionalValue"]),
        ({"PatientIdentityRemoved": "YES"}, ["DeidentificationMethod"]),
        ({"ResponsiblePerson": "Doe^J"}, ["ResponsiblePersonRole"]),
        ({"PatientBirthDateInAlternativeCalendar": "X"}, ["PatientAlternativeCalendar"]),
        ({"PatientName": "Müller"}, ["SpecificCharacterSet"]),
    ],
)
def test_a_condition_that_becomes_true_asks_for_its_attribute(made, given, lacking) -> None:
    for keyword, value in given.items():
        setattr(made, keyword, value)
    assert [words.split()[0] for words in unmet(made)] == lacking


def test_tracking_identifier_and_uid_go_together(made) -> None:
    made.SegmentSequence[0].TrackingID = "lesion 1"
    assert unmet(made) == ["TrackingUID (of segments with a tracking identifier)"]

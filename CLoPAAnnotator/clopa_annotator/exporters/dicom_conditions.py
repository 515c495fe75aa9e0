"""What a DICOM segmentation must have because of what else it holds: attributes of type 1C and 2C.

highdicom sees to types 1 and 2 and leaves conditions to its user. These are the ones that can become true of
a segmentation of an image series; each names its place in the standard (DICOM PS3.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydicom import DataElement, Dataset
from pydicom.sequence import Sequence

UTF_8 = "ISO_IR 192"
_TEXTS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""Value representations whose repertoire the character set decides (PS3.5, 6.1.2.3)."""

OPTIONAL_WITHOUT: dict[str, tuple[str, ...]] = {
    "PatientIdentityRemoved": ("DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    "ResponsiblePerson": ("ResponsiblePersonRole",),
    "PatientBirthDateInAlternativeCalendar": ("PatientAlternativeCalendar",),
}
"""What may be left away, and must be where none of these goes with it (C.7.1.1)."""


@dataclass(frozen=True)
class Condition:
    """One rule.

    Attributes:
        keyword: what has to be there, with a value; with ``|`` between them, one of several.
        within: the sequence whose items it is about; empty for the object itself.
        applies: whether it is required of such an item.
        because: completes "... which DICOM requires ...".
    """

    keyword: str
    within: str
    applies: Callable[[Dataset], bool]
    because: str


def _has(*keywords: str) -> Callable[[Dataset], bool]:
    return lambda item: any(_value(item, keyword) for keyword in keywords)


def _is(keyword: str, *values: str) -> Callable[[Dataset], bool]:
    return lambda item: str(item.get(keyword, "")) in values


def _value(item: Dataset, keyword: str) -> bool:
    """Whether an attribute is there and not empty; 0 is a value."""
    return keyword in item and not item[keyword].is_empty


def _items(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    """The items of every sequence of this name, at any depth."""
    for element in dataset:
        if isinstance(element.value, Sequence):
            for item in element.value:
                if element.keyword == keyword:
                    yield item
                yield from _items(item, keyword)


def _texts(dataset: Dataset) -> Iterator[DataElement]:
    for element in dataset:
        if isinstance(element.value, Sequence):
            for item in element.value:
                yield from _texts(item)
        elif element.VR in _TEXTS:
            yield element


def has_other_letters(dataset: Dataset) -> bool:
    """Whether a text in it needs more than ASCII, which is what there is without a character set."""
    return any(not str(element.value).isascii() for element in _texts(dataset))


CONDITIONS = (
    # C.12.1.1.2: an expanded character set is used
    Condition("SpecificCharacterSet", "", has_other_letters, "of texts beyond ASCII"),
    # C.8.20.2, Segmentation Image
    Condition(
        "SegmentationFractionalType", "", _is("SegmentationType", "FRACTIONAL"), "of fractional segments"
    ),
    Condition("MaximumFractionalValue", "", _is("SegmentationType", "FRACTIONAL"), "of fractional segments"),
    Condition(
        "LossyImageCompressionRatio", "", _is("LossyImageCompression", "01"), "of images compressed with loss"
    ),
    Condition(
        "LossyImageCompressionMethod",
        "",
        _is("LossyImageCompression", "01"),
        "of images compressed with loss",
    ),
    # C.8.20.4, Segment Description
    Condition(
        "SegmentAlgorithmName",
        "SegmentSequence",
        _is("SegmentAlgorithmType", "AUTOMATIC", "SEMIAUTOMATIC"),
        "of segments that no person drew",
    ),
    Condition("TrackingUID", "SegmentSequence", _has("TrackingID"), "of segments with a tracking identifier"),
    Condition("TrackingID", "SegmentSequence", _has("TrackingUID"), "of segments with a tracking UID"),
    # C.7.1.1, Patient
    Condition(
        "DeidentificationMethod|DeidentificationMethodCodeSequence",
        "",
        _is("PatientIdentityRemoved", "YES"),
        "where the patient's identity was removed",
    ),
    Condition("ResponsiblePersonRole", "", _has("ResponsiblePerson"), "where a responsible person is named"),
    Condition(
        "PatientAlternativeCalendar",
        "",
        _has("PatientBirthDateInAlternativeCalendar", "PatientDeathDateInAlternativeCalendar"),
        "of dates in another calendar",
    ),
    # C.7.6.16, C.7.6.17, C.7.4.1 and C.12.2: frames, their dimensions, their place, and what they refer to
    Condition("FrameOfReferenceUID", "", _has("PerFrameFunctionalGroupsSequence"), "of frames with a place"),
    Condition(
        "ReferencedSeriesSequence", "", _has("PerFrameFunctionalGroupsSequence"), "of what it segments"
    ),
    Condition(
        "FunctionalGroupPointer", "DimensionIndexSequence", _has("DimensionIndexPointer"), "of dimensions"
    ),
    Condition("PixelSpacing", "PixelMeasuresSequence", lambda _: True, "of images of a volume"),
    Condition("SliceThickness", "PixelMeasuresSequence", lambda _: True, "of images of a volume"),
    Condition("ImagePositionPatient", "PlanePositionSequence", lambda _: True, "of frames with a place"),
    Condition(
        "ImageOrientationPatient", "PlaneOrientationSequence", lambda _: True, "of frames with a place"
    ),
    # 8.8: codes
    *(
        Condition("CodingSchemeDesignator", sequence, _has("CodeValue", "LongCodeValue"), "of codes")
        for sequence in ("SegmentedPropertyCategoryCodeSequence", "SegmentedPropertyTypeCodeSequence")
    ),
    *(
        Condition("CodeValue|LongCodeValue|URNCodeValue", sequence, lambda _: True, "of codes")
        for sequence in ("SegmentedPropertyCategoryCodeSequence", "SegmentedPropertyTypeCodeSequence")
    ),
)


def unmet(dataset: Dataset) -> list[str]:
    """What an object lacks, for instance ``LossyImageCompressionRatio (of images compressed with loss)``."""
    found = []
    for condition in CONDITIONS:
        items = _items(dataset, condition.within) if condition.within else iter((dataset,))
        names = condition.keyword.split("|")
        if any(condition.applies(item) and not any(_value(item, n) for n in names) for item in items):
            found.append(f"{' or '.join(names)} ({condition.because})")
    return found + _frames_without_indices(dataset)


def _frames_without_indices(dataset: Dataset) -> list[str]:
    """C.7.6.16.2.2: every frame says where it stands along each dimension."""
    dimensions = len(dataset.get("DimensionIndexSequence") or ())
    frames = _items(dataset, "FrameContentSequence")
    if all(_length(frame.get("DimensionIndexValues")) == dimensions for frame in frames):
        return []
    return ["DimensionIndexValues (of every dimension)"]


def _length(value: object) -> int:
    if value is None:
        return 0
    return len(value) if hasattr(value, "__len__") else 1


def drop_what_lacks_its_partner(instance: Dataset) -> None:
    """Leave away what is optional and would need something that nobody can make up."""
    for keyword, partners in OPTIONAL_WITHOUT.items():
        if keyword in instance and not any(_value(instance, partner) for partner in partners):
            del instance[keyword]

"""The records of a campaign folder: the format's specification in code (in words: docs/formats/campaign.md).

Three kinds of sealed JSON document lie under ``cases/<case>/``: ``case.json`` says which image the case has,
``v<version>-s<sequence>/record.json`` describes one confirmation, ``m<sequence>.json`` is a mark (skipped,
reopened, withdrawn, ...). Sequence numbers are campaign-wide, shared by confirmations and marks, and never
used twice; they decide the order of everything. Instants serve people only.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from clopa_annotator import __version__
from clopa_annotator.cache.format.manifest import check_format_version
from clopa_annotator.cache.format.prompt_json import prompts_from_json, prompts_to_json
from clopa_annotator.cache.format.sealed import seal, unseal
from clopa_annotator.errors import ConfigError, CorruptRecord, GeometryError
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Imported, Slot, SuggestionUse, TimedPrompt
from clopa_annotator.types.targets import FIRST

FORMAT_VERSION, OTHER_SLOTS_VERSION = 1, 2
"""Written for what version 1 knows, and for documents of other slots than the first."""
CASE, RECORD, MARK, IMAGE = "clopa-case", "clopa-record", "clopa-mark", "clopa-image"


def geometry_to_json(geometry: Geometry) -> dict[str, Any]:
    """A grid as plain values."""
    return {
        "shape_kji": [int(n) for n in geometry.shape_kji],
        "spacing_ijk_mm": [float(x) for x in geometry.spacing_ijk_mm],
        "origin_lps_mm": [float(x) for x in geometry.origin_lps_mm],
        "direction": [float(x) for x in geometry.direction],
    }


def geometry_from_json(values: Mapping[str, Any]) -> Geometry:
    """The inverse of `geometry_to_json`."""
    k, j, i = (int(n) for n in values["shape_kji"])
    si, sj, sk = (float(x) for x in values["spacing_ijk_mm"])
    x, y, z = (float(v) for v in values["origin_lps_mm"])
    return Geometry((k, j, i), (si, sj, sk), (x, y, z), tuple(float(v) for v in values["direction"]))


def imported_to_json(imported: Imported | None) -> dict[str, Any]:
    """``{"imported": {...}}``, or nothing at all for what was made here: most documents stay as they were."""
    return {} if imported is None else {"imported": asdict(imported)}


def imported_from_json(values: Mapping[str, Any]) -> Imported | None:
    """The inverse of `imported_to_json`; keys of a newer version are ignored."""
    found = values.get("imported")
    if found is None:
        return None
    known = {f.name for f in fields(Imported)}
    return Imported(**{key: value for key, value in found.items() if key in known})


def suggestion_to_json(use: SuggestionUse) -> dict[str, Any]:
    """``{"suggestion": "taken"}``, or nothing at all where there was none: documents stay as they were."""
    return {} if use is SuggestionUse.NONE else {"suggestion": use.value}


def suggestion_from_json(values: Mapping[str, Any]) -> SuggestionUse:
    """The inverse of `suggestion_to_json`; raises `ValueError`."""
    return SuggestionUse(values.get("suggestion", SuggestionUse.NONE.value))


def slot_to_json(slot: Slot) -> dict[str, Any]:
    """Format version, and which target and instance a document is of; nothing of these for the first slot."""
    if slot == FIRST:
        return {"format_version": FORMAT_VERSION}
    return {"format_version": OTHER_SLOTS_VERSION, "target": slot.target, "instance": slot.instance}


def slot_from_json(values: Mapping[str, Any], name: str) -> Slot:
    """The inverse of `slot_to_json`; raises `CorruptRecord`."""
    try:
        return Slot(values.get("target", ""), values.get("instance", 1))
    except (ConfigError, TypeError) as error:
        raise CorruptRecord(f"{name} names no target: {error}") from error


@cache
def software_versions() -> Mapping[str, str]:
    """The versions that a record names."""
    found = {"clopa-annotator": __version__, "python": platform.python_version()}
    for package in ("numpy", "blosc2"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def open_document(document: bytes, kind: str, name: str) -> dict[str, Any]:
    """The values of a sealed document of one kind.

    Raises:
        CorruptRecord: damaged, or of another kind.
        ConfigError: written by a newer version.
    """
    values = unseal(document, name)
    if values.get("format") != kind:
        raise CorruptRecord(f"{name} is not a {kind} document.")
    check_format_version(values.get("format_version"), OTHER_SLOTS_VERSION, name)
    return values


@dataclass(frozen=True)
class CaseEntry:
    """``case.json``: a case and its image.

    Attributes:
        case_id: name of the case.
        number: position in the campaign's list, counting from 1.
        image_hash: see `CaseRef.image_hash`.
        source: where the image came from, as given when it was added.
        added: ISO 8601 instant.
    """

    case_id: str
    number: int
    image_hash: str
    source: str = ""
    added: str = ""

    def to_document(self) -> bytes:
        """The content of ``case.json``."""
        return seal({"format": CASE, "format_version": FORMAT_VERSION, **vars(self)})

    @classmethod
    def from_document(cls, document: bytes, name: str = "case.json") -> CaseEntry:
        """Read ``case.json``; raises `CorruptRecord`."""
        values = open_document(document, CASE, name)
        try:
            keys = ("case_id", "number", "image_hash", "source", "added")
            return cls(**{key: values[key] for key in keys})
        except KeyError as error:
            raise CorruptRecord(f"{name} lacks {error}.") from error


@dataclass(frozen=True, eq=False)
class CaseRecord:
    """``record.json``: one immutable confirmed version of a case.

    Attributes:
        case_id: name of the case.
        case_version: 1 for the first confirmation.
        sequence: campaign-wide number.
        confirmation_id: made by the client.
        confirmation_hash: SHA-256 over what the client sent; tells a repeated delivery from a conflict.
        based_on_version: version that the annotator started from; 0 for none, None if not said.
        conflict: whether somebody else had confirmed a version that this one is not based on.
        image_hash: see `CaseRef.image_hash`.
        image_dtype: numpy's name of the image's voxel type, for instance "int16".
        geometry: the voxel grid of image and mask.
        mask_hash: SHA-256 of the mask's bytes (uint8, C order, k slowest).
        mask_voxels: number of voxels in the mask.
        files: SHA-256 of each other file in the folder, by name.
        prompts: what was given, in order.
        first_shown_dice: Dice of the first proposal against this mask; None if none was shown.
        annotator: identity of the person.
        seconds_active: time spent without pauses.
        weights_version: weights in use.
        model_hash: base model of the campaign.
        note: free text.
        label: name of the target.
        confirmed_at: ISO 8601 instant.
        software: versions of the programs that wrote it.
        imported: where the mask came from; None if it was made here.
        slot: what of the case it is of.
        replaces_accepted: number of the mark that had accepted the version before; None if none had.
        reading: 2 for that of a second person who had not seen the first's; trains only once it is accepted.
        suggestion: what was made of the model's suggestion.
    """

    case_id: str
    case_version: int
    sequence: int
    confirmation_id: str
    confirmation_hash: str
    based_on_version: int | None
    conflict: bool
    image_hash: str
    image_dtype: str
    geometry: Geometry
    mask_hash: str
    mask_voxels: int
    files: Mapping[str, str]
    prompts: tuple[TimedPrompt, ...] = ()
    first_shown_dice: float | None = None
    annotator: str = ""
    seconds_active: float = 0.0
    weights_version: int = 0
    model_hash: str = ""
    note: str = ""
    label: str = ""
    confirmed_at: str = ""
    software: Mapping[str, str] = field(default_factory=software_versions)
    imported: Imported | None = None
    slot: Slot = FIRST
    replaces_accepted: int | None = None
    reading: int = 1
    suggestion: SuggestionUse = SuggestionUse.NONE

    def to_document(self) -> bytes:
        """The content of ``record.json``."""
        values = {
            **vars(self),
            "geometry": geometry_to_json(self.geometry),
            "prompts": prompts_to_json(self.prompts),
            "files": dict(self.files),
            "software": dict(self.software),
        }
        del values["imported"], values["slot"], values["suggestion"]
        if self.replaces_accepted is None:  # most documents stay as they were
            del values["replaces_accepted"]
        if self.reading == 1:
            del values["reading"]
        values |= suggestion_to_json(self.suggestion) | imported_to_json(self.imported)
        return seal({"format": RECORD, **slot_to_json(self.slot), **values})

    @classmethod
    def from_document(cls, document: bytes, name: str = "record.json") -> CaseRecord:
        """Read ``record.json``; raises `CorruptRecord`."""
        values = open_document(document, RECORD, name)
        try:
            geometry = geometry_from_json(values["geometry"])
            prompts = prompts_from_json(values["prompts"], geometry.shape_kji)
            given = {
                "imported": imported_from_json(values),
                "slot": slot_from_json(values, name),
                "suggestion": suggestion_from_json(values),
                "replaces_accepted": values.get("replaces_accepted"),
                "reading": int(values.get("reading", 1)),
            }
            plain = {k: values[k] for k in cls.__dataclass_fields__ if k not in given}
        except (KeyError, TypeError, ValueError, AttributeError, GeometryError) as error:
            raise CorruptRecord(f"{name} cannot be read: {error}.") from error
        return cls(**{**plain, "geometry": geometry, "prompts": prompts, **given})

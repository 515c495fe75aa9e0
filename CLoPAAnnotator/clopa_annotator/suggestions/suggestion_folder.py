"""Suggestions beside a campaign: ``suggestions/``, see docs/formats/suggestions.md.

Nobody decided a suggestion, so it can be lost without loss: what is damaged is moved away and made again,
and a full disk stops suggestions and nothing else. What a confirmed case told about its suggestion, the
outcome, lies beside it; calibration rests on these.

One process writes, the campaign's engine. Files are replaced in one step, so any number may read.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from clopa_annotator.cache.confirming import checked_mask
from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.chunked import mask_hash
from clopa_annotator.cache.format.layout import utc_now
from clopa_annotator.cache.format.manifest import check_format_version
from clopa_annotator.cache.format.record import open_document
from clopa_annotator.cache.format.regions import mask_from_json, mask_to_json
from clopa_annotator.cache.format.sealed import seal
from clopa_annotator.durable import make_folder, write_bytes, write_folder
from clopa_annotator.errors import CacheError, ConfigError, CorruptRecord, StorageFull
from clopa_annotator.geometry import Kji
from clopa_annotator.suggestions.scores import overlap_of
from clopa_annotator.types import Mask, Outcome, Subject, Suggestion, SuggestionHead

logger = logging.getLogger(__name__)

FOLDER = "suggestions"
SUGGESTION, OUTCOME = "clopa-suggestion", "clopa-suggestion-outcome"
FORMAT_VERSION = 1
_ONE_TARGET = "target"
FILES = (
    rf"{names.CASE_FOLDER.pattern}/"
    rf"\.?({names.CASE_FOLDER.pattern}|{_ONE_TARGET})-\d{{2,}}(\.outcome)?\.json(\.part)?"
)
"""What lies in the folder, as a regular expression; with what a killed writer leaves half done."""
T = TypeVar("T")


class SuggestionFolder:
    """The suggestions of one campaign.

    Attributes:
        full: why nothing more is kept, after the disk was full; empty while there is room.
    """

    def __init__(self, campaign: Path) -> None:
        self._campaign = campaign
        self._root = campaign / FOLDER
        self.full = ""

    # -- suggestions ---------------------------------------------------------------------------------------

    def keep(self, suggestion: Suggestion) -> Suggestion:
        """Write a suggestion over the one before; on return it is on the disk and was read back.

        Returns:
            The suggestion with its mask's hash and the instant.

        Raises:
            StorageFull: no room; `full` says so from now on, until something is kept again.
            CacheError: the folder cannot be written, or did not keep what was written.
            InputError: the mask is not binary.
        """
        k, j, i = suggestion.mask.shape
        mask = checked_mask(suggestion.mask, (k, j, i))
        kept = replace(suggestion, mask=mask, mask_hash=mask_hash(mask), made_at=utc_now())
        values = {
            **_head(kept.subject, SUGGESTION),
            "weights_version": kept.weights_version,
            "scores": _finite(kept.scores),
            "seconds": float(kept.seconds),
            "mask_hash": kept.mask_hash,
            "made_at": kept.made_at,
            "mask": mask_to_json(mask),
        }
        self._write(_path(kept.subject), values)
        return kept

    def load(self, subject: Subject, shape_kji: Kji) -> Suggestion | None:
        """The kept suggestion; None if there is none, or it was damaged and is in quarantine now.

        Args:
            subject: case, target and instance.
            shape_kji: of the case's image.

        Raises:
            CacheError: the disk does not give it.
        """
        path = self._root / _path(subject)
        return self._sound(path, lambda: self._read(path, subject, shape_kji))

    def discard(self, subject: Subject) -> None:
        """Drop a suggestion; its outcome stays. Nothing happens if there is none.

        Raises:
            CacheError: it cannot be removed.
        """
        try:
            (self._root / _path(subject)).unlink(missing_ok=True)
        except OSError as error:
            raise CacheError(
                f"The suggestion for {subject.case_id!r} could not be removed: {error}."
            ) from error

    # -- outcomes ------------------------------------------------------------------------------------------

    def confirmed(self, subject: Subject, mask: Mask, sequence: int) -> Outcome | None:
        """Note how good the suggestion was, now that the case is confirmed.

        Never fails a confirmation, which is safe already: what the disk refuses is logged and not learned.

        Args:
            subject: case, target and instance.
            mask: (k, j, i), as confirmed.
            sequence: number of the confirmation.

        Returns:
            The outcome; None if there was no suggestion, or it could not be kept.
        """
        k, j, i = mask.shape
        try:
            suggestion = self.load(subject, (k, j, i))
            if suggestion is None:
                return None
            found = Outcome(
                subject,
                suggestion.weights_version,
                dict(suggestion.scores),
                overlap_of(suggestion.mask, mask),
                sequence,
            )
            values = {
                **_head(subject, OUTCOME),
                "weights_version": found.weights_version,
                "scores": _finite(found.scores),
                "dice": found.dice,
                "sequence": found.sequence,
                "mask_hash": suggestion.mask_hash,
            }
            self._write(_outcome_path(subject), values)
        except CacheError as error:
            logger.warning("The suggestion for %s was not compared: %s", subject.case_id, error)
            return None
        return found

    def outcomes(self, target: str = "") -> tuple[Outcome, ...]:
        """What confirmed cases told about their suggestions, in the order of their confirmations.

        Whose confirmation was withdrawn or corrected is the caller's to leave out, by ``sequence``.
        """
        paths = self._root.glob("*/*.outcome.json") if self._root.is_dir() else ()
        found = [self._sound(path, partial(_read_outcome, path)) for path in sorted(paths)]
        known = [o for o in found if o is not None and o.subject.target == target]
        return tuple(sorted(known, key=lambda o: o.sequence))

    def heads(self) -> Iterator[SuggestionHead]:
        """What suggestions there are, without their masks; what is damaged goes to quarantine."""
        paths = self._root.glob("*/*.json") if self._root.is_dir() else ()
        for path in sorted(p for p in paths if not p.name.endswith(".outcome.json")):
            head = self._sound(path, partial(_head_in, path))
            if head is not None:
                yield head

    # -- steps ---------------------------------------------------------------------------------------------

    def _write(self, relative: str, values: dict[str, Any]) -> None:
        path = self._root / relative
        data = seal(values)
        try:
            make_folder(path.parent)
            write_bytes(path, data)
            kept = path.read_bytes()
        except StorageFull as error:
            self.full = str(error)
            raise
        except OSError as error:
            raise CacheError(f'"{path}" could not be read back: {error}.') from error
        if kept != data:
            path.unlink(missing_ok=True)
            raise CorruptRecord(f"The disk did not keep {path.name} as it was written. Check the disk.")
        self.full = ""

    def _read(self, path: Path, subject: Subject, shape_kji: Kji) -> Suggestion:
        values = _open(path, SUGGESTION)
        if _subject(values) != subject:
            raise CorruptRecord(f"{path.name} belongs to another case.")
        mask = mask_from_json(values["mask"], shape_kji)
        if mask_hash(mask) != values["mask_hash"]:
            raise CorruptRecord(f"{path.name} is damaged: its voxels do not fit their hash.")
        return Suggestion(
            subject,
            mask,
            int(values["weights_version"]),
            _scores(values["scores"]),
            float(values["seconds"]),
            values["mask_hash"],
            values["made_at"],
        )

    def _sound(self, path: Path, read: Callable[[], T]) -> T | None:
        """What ``read`` gives; None for nothing there, and for what is damaged, which goes to quarantine."""
        try:
            return read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CacheError(f'"{path}" could not be read: {error}. Check the disk.') from error
        except (CorruptRecord, ConfigError, KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, ConfigError):  # written by a newer version: no damage
                logger.warning("%s is passed over: %s", path.name, error)
                return None
            self._quarantine(path, f"{path.name} cannot be used: {error}")
            return None

    def _quarantine(self, path: Path, problem: str) -> None:
        """Move a damaged file out of the way, with the reason beside it; it is made again."""
        relative = path.relative_to(self._campaign).as_posix()
        finding = seal({"path": relative, "problem": problem, "at": utc_now()})
        quarantine = self._campaign / names.QUARANTINE
        try:
            make_folder(quarantine)
            taken = [int(p.name) for p in quarantine.iterdir() if p.name.isdecimal()]
            place = quarantine / f"{max(taken, default=0) + 1:04d}"
            write_folder(place, {"finding.json": finding})
            make_folder((place / relative).parent)
            path.replace(place / relative)
        except (OSError, CacheError) as error:
            logger.warning("%s is damaged and could not be moved away: %s", relative, error)
            return
        logger.warning("Moved %s to quarantine: %s", relative, problem)


def is_stale(suggestion: Suggestion, version_in_use: int) -> bool:
    """Whether a suggestion has to be made anew: other weights than its own are in use."""
    return suggestion.weights_version != version_in_use


def _path(subject: Subject) -> str:
    """Relative to `FOLDER`."""
    if subject.instance < 1:
        raise ConfigError(f"Instances count from 1; there is no instance {subject.instance}.")
    target = names.case_folder(subject.target) if subject.target else _ONE_TARGET
    return f"{names.case_folder(subject.case_id)}/{target}-{subject.instance:02d}.json"


def _outcome_path(subject: Subject) -> str:
    return _path(subject).removesuffix(".json") + ".outcome.json"


def _head(subject: Subject, kind: str) -> dict[str, Any]:
    return {
        "format": kind,
        "format_version": FORMAT_VERSION,
        "case_id": subject.case_id,
        "target": subject.target,
        "instance": subject.instance,
    }


def _open(path: Path, kind: str) -> dict[str, Any]:
    values = open_document(path.read_bytes(), kind, path.name)
    check_format_version(values.get("format_version"), FORMAT_VERSION, path.name)
    return values


def _head_in(path: Path) -> SuggestionHead:
    of = _open(path, SUGGESTION)
    return SuggestionHead(_subject(of), int(of["weights_version"]), _scores(of["scores"]), of["made_at"])


def _subject(values: dict[str, Any]) -> Subject:
    return Subject(str(values["case_id"]), str(values["target"]), int(values["instance"]))


def _read_outcome(path: Path) -> Outcome:
    values = _open(path, OUTCOME)
    return Outcome(
        _subject(values),
        int(values["weights_version"]),
        _scores(values["scores"]),
        float(values["dice"]),
        int(values["sequence"]),
    )


def _finite(scores: Any) -> dict[str, float]:
    return {name: float(value) for name, value in scores.items() if math.isfinite(value)}


def _scores(values: Any) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items()}

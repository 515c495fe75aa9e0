"""The weights of a campaign: an untouched base and numbered versions, each a delta with its lineage.

::

    weights/
      registry.json                 which base, which licence
      versions/0001/version.json    lineage: parent, cases, seed, group, code version, licence, delta's hash
      versions/0001/delta.safetensors
      history.jsonl                 what happened to them; decides which is current
      current.json                  the number of the current version, for other programs

A version folder appears in one step, the history only grows: a kill leaves the state before or after (the
specification: ``docs/formats/weights.md``).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clopa_annotator import __version__
from clopa_annotator.durable import make_folder
from clopa_annotator.errors import CorruptRecord, DeltaMismatch, RegistryError
from clopa_annotator.registry.base import next_version, read_base, write_base
from clopa_annotator.registry.course import Course
from clopa_annotator.registry.files import VersionFolders
from clopa_annotator.registry.pointer import refresh_pointer, write_pointer
from clopa_annotator.registry.version_history import History, HistoryEntry
from clopa_annotator.types import EpisodeResult, GateDecision, WeightsVersion

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

MANIFEST, VERSIONS, HISTORY, CURRENT = "registry.json", "versions", "history.jsonl", "current.json"


class WeightsRegistry:
    """A folder of weights versions. One process writes (the campaign's), any may read."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._history = History(self.folder / HISTORY)
        self._folders = VersionFolders(self.folder / VERSIONS)

    def create(self, model_hash: str, licence: str) -> WeightsVersion:
        """Begin with a base, version 0; doing it again with the same base changes nothing.

        Args:
            model_hash: SHA-256 of the base weights.
            licence: first line of its licence; every version inherits it.

        Raises:
            RegistryError: the folder belongs to another base.
            CacheError: the folder cannot be written.
        """
        manifest = self.folder / MANIFEST
        if manifest.exists():
            if self.base.model_hash != model_hash:
                raise RegistryError(f'The weights in "{self.folder}" belong to another base model.')
            return self.base
        make_folder(self.folder / VERSIONS)
        write_base(manifest, model_hash, licence)
        self._history.append("created", 0)
        write_pointer(self.folder / CURRENT, 0)
        return self.base

    @property
    def base(self) -> WeightsVersion:
        """Version 0: the untouched base.

        Raises:
            RegistryError: there is no registry here, or one of another format.
        """
        return read_base(self.folder / MANIFEST)

    def versions(self) -> tuple[WeightsVersion, ...]:
        """Every version that can be read, the base first; damaged ones are logged and left out."""
        found, course = [self.base], self._history.course()
        for number in self._folders.numbers():
            try:
                found.append(self._told(number, course))
            except CorruptRecord as error:
                logger.error("Weights version %d is left out: %s", number, error)
        return tuple(found)

    def version(self, number: int) -> WeightsVersion:
        """One version with its lineage and the gate's decision.

        Raises:
            UnknownVersion: there is none of this number.
            CorruptRecord: its record is damaged.
        """
        if number == 0:
            return self.base
        return self._told(number, self._history.course())

    def _told(self, number: int, course: Course) -> WeightsVersion:
        return replace(
            self._folders.read(number),
            decision=course.decisions.get(number),
            standing=course.standings.get(number, ""),
            verdict=course.verdicts.get(number),
        )

    def probation(self) -> tuple[int, int] | None:
        """The version in use, and the one to return to; None if the one in use has nothing to prove."""
        course = self._history.course()
        return (course.current, course.settled) if course.on_probation else None

    def current(self) -> WeightsVersion:
        """The version in use: the last one promoted, rolled back to, or returned to.

        Raises:
            CorruptRecord: its record is damaged; another version has to be chosen.
        """
        number = self._history.current_version()
        refresh_pointer(self.folder / CURRENT, number)
        return self.version(number)

    def history(self) -> tuple[HistoryEntry, ...]:
        """What happened, oldest first."""
        return self._history.entries()

    def delta_path(self, number: int) -> Path | None:
        """The file of a version's delta; None for the base.

        Raises:
            UnknownVersion: there is none of this number.
        """
        version = self.version(number)
        return self._folders.path(number) / version.delta_file if version.delta_file else None

    def delta_tensors(self, number: int) -> dict[str, Tensor]:
        """Values of the tensors in which a version differs from the base; empty for the base.

        Raises:
            UnknownVersion: there is none of this number.
            CorruptRecord: the file is not what was written.
        """
        from clopa_annotator.delta import unpack_delta

        version = self.version(number)
        return unpack_delta(self._folders.delta(version))[1] if version.delta_file else {}

    def add_candidate(
        self,
        result: EpisodeResult,
        *,
        parent: int,
        parameter_group: str,
        case_hashes: tuple[str, ...] = (),
        seed: int = 0,
    ) -> WeightsVersion:
        """Take over what an episode made, as a version that is not in use. Twice gives the same one.

        Raises:
            RegistryError: the episode did not finish.
            DeltaMismatch: the delta belongs to another base, or is none.
        """
        if result.status != "finished" or result.delta_path is None:
            raise RegistryError(f"Episode {result.number} is {result.status}; it has no weights to give.")
        draft = self._draft(parent, parameter_group, case_hashes, seed, result.number)
        return self._add(result.delta_path.read_bytes(), draft)

    def add_tensors(
        self,
        tensors: Mapping[str, Tensor],
        *,
        parent: int,
        parameter_group: str,
        case_hashes: tuple[str, ...] = (),
        seed: int = 0,
    ) -> WeightsVersion:
        """Like `add_candidate`, for weights that no episode made, for instance an online update's.

        Args:
            tensors: values of every tensor that differs from the base; for the rest see `WeightsVersion`.
        """
        from clopa_annotator.delta import DeltaInfo, pack_delta

        draft = self._draft(parent, parameter_group, case_hashes, seed, None)
        info = DeltaInfo(
            draft.model_hash, draft.licence, parameter_group, parent, seed=seed, code_version=__version__
        )
        return self._add(pack_delta(tensors, info), draft)

    def promote(self, number: int, decision: GateDecision) -> WeightsVersion:
        """Make a candidate current; its file is checked first.

        Raises:
            RegistryError: the decision does not promote it, or it is the base.
            CorruptRecord: its weights are damaged; the current version stays.
        """
        if not decision.promoted:
            raise RegistryError(f"Version {number} cannot be promoted, because the gate rejected it.")
        self._record("promoted", number, decision=decision)
        return self.version(number)

    def reject(self, number: int, decision: GateDecision) -> WeightsVersion:
        """Note that a candidate was not promoted, and why; the current version stays.

        Raises:
            RegistryError: the decision promotes it, or it is the base.
        """
        if decision.promoted or number == 0:
            raise RegistryError(f"Version {number} cannot be rejected by this decision.")
        self.version(number)
        self._history.append("rejected", number, decision=decision)
        return self.version(number)

    def confirm(self, number: int, verdict: GateDecision) -> WeightsVersion:
        """End a version's probation: it stays.

        Raises:
            RegistryError: it is not on probation, for instance because a person chose other weights.
        """
        self._require_probation(number)
        self._history.append("confirmed", number, decision=verdict)
        return self.version(number)

    def take_back(self, number: int, verdict: GateDecision) -> WeightsVersion:
        """End a version's probation: the settled version before it is in use again.

        Returns:
            The version that is in use again.

        Raises:
            RegistryError: it is not on probation.
            CorruptRecord: the weights to return to are damaged; a person has to choose others.
        """
        settled = self._require_probation(number)
        self.delta_tensors(settled)  # raises unless it is whole
        self._history.append("taken_back", number, decision=verdict, to=settled)
        write_pointer(self.folder / CURRENT, settled)
        return self.version(settled)

    def _require_probation(self, number: int) -> int:
        probation = self.probation()
        if probation is None or probation[0] != number:
            raise RegistryError(f"Version {number} is not on probation any more; nothing was changed.")
        return probation[1]

    def rollback(self, number: int, by: str) -> WeightsVersion:
        """Make any version current again, also a rejected one or the base.

        Args:
            number: the version.
            by: who decided it.

        Raises:
            UnknownVersion: there is none of this number.
            CorruptRecord: its weights are damaged; the current version stays.
        """
        self._record("rolled_back", number, by=by)
        return self.version(number)

    def _record(
        self,
        what: Literal["promoted", "rolled_back"],
        number: int,
        *,
        by: str = "",
        decision: GateDecision | None = None,
    ) -> None:
        if what == "promoted" and number == 0:
            raise RegistryError("The base cannot be promoted; roll back to it instead.")
        self.delta_tensors(number)  # raises unless it is whole
        self._history.append(what, number, by=by, decision=decision)
        write_pointer(self.folder / CURRENT, number)

    def _draft(
        self, parent: int, group: str, case_hashes: tuple[str, ...], seed: int, episode: int | None
    ) -> WeightsVersion:
        self.version(parent)
        number = max([0, *self._folders.numbers()]) + 1
        return replace(
            next_version(self.base, number, parent, group, episode), case_hashes=case_hashes, seed=seed
        )

    def _add(self, data: bytes, draft: WeightsVersion) -> WeightsVersion:
        from clopa_annotator.delta import unpack_delta

        info, _ = unpack_delta(data)
        if info.model_hash != draft.model_hash:
            raise DeltaMismatch("These weights belong to another base model; they were not taken over.")
        version = replace(draft, delta_hash=hashlib.sha256(data).hexdigest())
        for known in self.versions():
            if (known.delta_hash, known.episode) == (version.delta_hash, version.episode):
                return known
        self._folders.write(version, data)
        self._history.append("added", version.number)
        return version

"""The weights of a campaign: an untouched base and numbered versions, each a delta with its lineage.

::

    weights/
      registry.json                 which base, which licence
      versions/0001/version.json    lineage: parent, cases, seed, group, code version, licence, delta's hash
      versions/0001/delta.safetensors
      history.jsonl                 what was added, promoted, rejected, rolled back; decides which is current
      current.json                  the number of the current version, for other programs

A version folder appears in one step and never changes; the history only grows: a kill at any moment leaves
the state before or the state after. ``docs/formats/weights.md`` is the specification.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clopa_annotator import __version__
from clopa_annotator.durable import write_bytes
from clopa_annotator.errors import CorruptRecord, DeltaMismatch, RegistryError
from clopa_annotator.registry.files import DELTA_FILE, FORMAT, VersionFolders, now, sealed, unsealed
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
        """Begin with a base; doing it again with the same base changes nothing.

        Args:
            model_hash: SHA-256 of the base weights.
            licence: first line of its licence; every version inherits it.

        Returns:
            Version 0.

        Raises:
            RegistryError: the folder belongs to another base.
            CacheError: the folder cannot be written.
        """
        manifest = self.folder / MANIFEST
        if manifest.exists():
            if self.base.model_hash != model_hash:
                raise RegistryError(f'The weights in "{self.folder}" belong to another base model.')
            return self.base
        (self.folder / VERSIONS).mkdir(parents=True, exist_ok=True)
        values = {
            "format": FORMAT,
            "model_hash": model_hash,
            "licence": licence,
            "created": now(),
            "code_version": __version__,
        }
        write_bytes(manifest, sealed(values))
        self._history.append("created", 0)
        write_pointer(self.folder / CURRENT, 0)
        return self.base

    @property
    def base(self) -> WeightsVersion:
        """Version 0: the untouched base.

        Raises:
            RegistryError: there is no registry here, or one of another format.
        """
        path = self.folder / MANIFEST
        if not path.exists():
            raise RegistryError(f'There are no weights in "{self.folder}"; it is not a campaign\'s folder.')
        values = unsealed(path)
        if values["format"] != FORMAT:
            raise RegistryError(
                f"The weights have the format {values['format']}, this version reads {FORMAT}."
            )
        return WeightsVersion(
            0,
            None,
            values["model_hash"],
            values["licence"],
            code_version=values["code_version"],
            created=values["created"],
        )

    def versions(self) -> tuple[WeightsVersion, ...]:
        """Every version that can be read, the base first; damaged ones are logged and left out."""
        found = [self.base]
        for number in self._folders.numbers():
            try:
                found.append(self.version(number))
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
        return replace(self._folders.read(number), decision=self._history.decision_on(number))

    def current(self) -> WeightsVersion:
        """The version in use: the last one promoted or rolled back to.

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

        version, path = self.version(number), self.delta_path(number)
        if path is None:
            return {}
        data = path.read_bytes() if path.exists() else b""
        if hashlib.sha256(data).hexdigest() != version.delta_hash:
            raise CorruptRecord(
                f"The weights of version {number} are damaged on the disk. Roll back to another version, or "
                f'restore "{path}" from a backup.'
            )
        return unpack_delta(data)[1]

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
            tensors: values of every tensor that differs from the base.
            parent, parameter_group, case_hashes, seed: see `WeightsVersion`.
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
        base = self.base
        return WeightsVersion(
            number=max([0, *self._folders.numbers()]) + 1,
            parent=parent,
            model_hash=base.model_hash,
            licence=base.licence,
            delta_file=DELTA_FILE,
            parameter_group=group,
            episode=episode,
            case_hashes=case_hashes,
            seed=seed,
            code_version=__version__,
            created=now(),
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

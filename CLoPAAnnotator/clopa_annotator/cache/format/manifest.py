"""What a campaign is, in ``campaign.json``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from clopa_annotator.cache.format.sealed import seal, unseal
from clopa_annotator.errors import ConfigError, CorruptRecord
from clopa_annotator.types.targets import Target, Targets

FORMAT = "clopa-campaign"
FORMAT_VERSION = 2
"""The highest that is read. Written is 1 where that says everything, so that older programs read it too."""

_NAMED_BY_LABEL = Targets([Target("target")])
"""Stands for targets that were not given; told from others by being this very object."""


@dataclass(frozen=True)
class CampaignManifest:
    """The campaign's identity and settings.

    Attributes:
        name: for people.
        size: number of cases expected.
        model_id: "bundled", "official", or the name of a model folder.
        model_hash: SHA-256 of the base weights, hexadecimal; empty until a model was loaded.
        licence: first line of the base weights' licence.
        strategy: how the model learns.
        settings: plain JSON values; the cache keeps them and does not read them.
        label: name of the first target, shown as the segment's name; follows ``targets``.
        created: ISO 8601 instant in UTC, for people.
        format_version: version of the folder's format; raised to what the targets need.
        targets: what is segmented; one target called ``label`` if left out. One of them has the key "".
    """

    name: str
    size: int
    model_id: str = ""
    model_hash: str = ""
    licence: str = ""
    strategy: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    label: str = "target"
    created: str = ""
    format_version: int = 1
    targets: Targets = _NAMED_BY_LABEL

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ConfigError("A campaign needs a name.")
        if self.size < 1:
            raise ConfigError(f"A campaign needs at least one case, not {self.size}.")
        targets = self.targets
        if targets is _NAMED_BY_LABEL:
            targets = Targets([_target_called(self.label)])
        label = targets.by_key("").name
        needed = 1 if targets.is_plain else 2
        for name, value in (("targets", targets), ("label", label)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "format_version", max(self.format_version, needed))

    def with_targets(self, targets: Targets) -> CampaignManifest:
        """The same campaign with other targets; a format version that was needed once stays.

        Raises:
            ConfigError: none of the targets has the key "".
        """
        return replace(self, targets=targets, label="")

    @property
    def identity(self) -> str:
        """Tells campaigns apart, whatever their names."""
        return hashlib.sha256(f"{self.name}\n{self.created}\n{self.model_hash}".encode()).hexdigest()

    def to_document(self) -> bytes:
        """The content of ``campaign.json``."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "targets"}
        if self.format_version > 1 or self.targets != Targets([Target(self.label)]):
            values["targets"] = [target.to_dict() for target in self.targets]
        return seal({"format": FORMAT, **values})

    @classmethod
    def from_document(cls, document: bytes) -> CampaignManifest:
        """Read ``campaign.json``.

        Raises:
            CorruptRecord: damaged.
            ConfigError: not a campaign, or made by a newer version.
        """
        values = unseal(document, "campaign.json")
        if values.pop("format", None) != FORMAT:
            raise ConfigError("campaign.json does not describe a campaign.")
        check_format_version(values.get("format_version"), FORMAT_VERSION, "The campaign")
        known = {k: v for k, v in values.items() if k in {f.name for f in fields(cls)}}
        try:
            if "targets" in known:
                known["targets"] = Targets(Target.from_dict(t) for t in known["targets"])
            return cls(**known)
        except TypeError as error:
            raise CorruptRecord("campaign.json lacks the campaign's name or size, or its targets.") from error


def _target_called(label: str) -> Target:
    """The one target of a campaign of format version 1, whose label nobody had to choose well."""
    try:
        return Target(label)
    except ConfigError:
        return Target("".join(c if c.isprintable() else " " for c in label).strip() or "target")


def check_format_version(found: object, known: int, what: str) -> None:
    """Refuse what a newer version wrote.

    Raises:
        ConfigError: the version is newer than ``known``, or not a number.
    """
    if not isinstance(found, int) or found > known:
        raise ConfigError(
            f"{what} has format version {found}, but this program knows up to {known}. Update the program."
        )

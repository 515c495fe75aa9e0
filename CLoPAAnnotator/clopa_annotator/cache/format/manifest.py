"""What a campaign is, in ``campaign.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from clopa_annotator.cache.format.sealed import seal, unseal
from clopa_annotator.errors import ConfigError, CorruptRecord

FORMAT = "clopa-campaign"
FORMAT_VERSION = 1


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
        label: name of the target, shown as the segment's name.
        created: ISO 8601 instant in UTC, for people.
        format_version: version of the folder's format.
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
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ConfigError("A campaign needs a name.")
        if self.size < 1:
            raise ConfigError(f"A campaign needs at least one case, not {self.size}.")

    def to_document(self) -> bytes:
        """The content of ``campaign.json``."""
        return seal({"format": FORMAT, **asdict(self)})

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
        known = {f.name for f in fields(cls)}
        try:
            return cls(**{k: v for k, v in values.items() if k in known})
        except TypeError as error:
            raise CorruptRecord("campaign.json lacks the campaign's name or size.") from error


def check_format_version(found: object, known: int, what: str) -> None:
    """Refuse what a newer version wrote.

    Raises:
        ConfigError: the version is newer than ``known``, or not a number.
    """
    if not isinstance(found, int) or found > known:
        raise ConfigError(
            f"{what} has format version {found}, but this program knows up to {known}. Update the program."
        )

"""What a campaign is: read back as written, refused where it cannot be one."""

from __future__ import annotations

import pytest

from clopa_annotator.cache.format.manifest import CampaignManifest, check_format_version
from clopa_annotator.cache.format.sealed import seal
from clopa_annotator.errors import ConfigError, CorruptRecord

MANIFEST = CampaignManifest(
    "Leber Ä",
    12,
    "bundled",
    "ab" * 32,
    "CC BY",
    "clopa-in",
    {"seed": 3, "deep": {"x": [1, 2]}},
    "liver",
    "now",
)


def test_a_manifest_comes_back_from_its_document() -> None:
    assert CampaignManifest.from_document(MANIFEST.to_document()) == MANIFEST


@pytest.mark.parametrize("changes", [{"name": " "}, {"size": 0}])
def test_a_campaign_without_a_name_or_a_case_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="A campaign needs"):
        CampaignManifest(**{"name": "x", "size": 1, **changes})  # type: ignore[arg-type]


def test_a_document_of_something_else_or_of_a_newer_program_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not describe a campaign"):
        CampaignManifest.from_document(seal({"format": "clopa-draft", "format_version": 1}))
    with pytest.raises(ConfigError, match="Update the program"):
        CampaignManifest.from_document(
            seal({"format": "clopa-campaign", "format_version": 2, "name": "x", "size": 1})
        )


def test_a_document_that_lacks_what_matters_is_damaged() -> None:
    with pytest.raises(CorruptRecord, match="lacks the campaign's name or size"):
        CampaignManifest.from_document(seal({"format": "clopa-campaign", "format_version": 1, "name": "x"}))


def test_what_a_later_version_added_is_passed_over() -> None:
    values = {"format": "clopa-campaign", "format_version": 1, "name": "x", "size": 1, "colour": "red"}
    assert CampaignManifest.from_document(seal(values)) == CampaignManifest("x", 1)


@pytest.mark.parametrize("found", [None, "1", 2.5, 3])
def test_a_version_that_is_newer_or_no_number_is_refused(found: object) -> None:
    with pytest.raises(ConfigError, match="The mark has format version"):
        check_format_version(found, 2, "The mark")

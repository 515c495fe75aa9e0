"""What a campaign is: read back as written, refused where it cannot be one."""

from __future__ import annotations

import pytest

from clopa_annotator.cache.format.manifest import CampaignManifest, check_format_version
from clopa_annotator.cache.format.sealed import seal
from clopa_annotator.errors import ConfigError, CorruptRecord
from clopa_annotator.types import CodedTerm, Target, Targets

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
            seal({"format": "clopa-campaign", "format_version": 3, "name": "x", "size": 1})
        )


def test_a_document_that_lacks_what_matters_is_damaged() -> None:
    with pytest.raises(CorruptRecord, match="lacks the campaign's name or size"):
        CampaignManifest.from_document(seal({"format": "clopa-campaign", "format_version": 1, "name": "x"}))


def test_what_a_later_version_added_is_passed_over() -> None:
    values = {"format": "clopa-campaign", "format_version": 1, "name": "x", "size": 1, "colour": "red"}
    assert CampaignManifest.from_document(seal(values)) == CampaignManifest("x", 1)


THREE = Targets([*Targets.named(["liver", "left kidney"]), Target("lesion", "lesion", instances=True)])


def test_several_targets_come_back_and_make_it_version_2() -> None:
    manifest = MANIFEST.with_targets(THREE)
    assert (manifest.format_version, manifest.label) == (2, "liver")
    again = CampaignManifest.from_document(manifest.to_document())
    assert again == manifest and again.targets == THREE


@pytest.mark.parametrize(
    ("target", "version"),
    [
        (Target("liver"), 1),
        (Target("liver", colour=(1, 2, 3)), 1),
        (Target("liver", overlaps=True), 2),
        (Target("liver", instances=True), 2),
        (Target("liver", code=CodedTerm("SCT", "10200004", "Liver")), 2),
    ],
)
def test_only_what_version_1_cannot_say_makes_it_version_2(target: Target, version: int) -> None:
    manifest = CampaignManifest("x", 1, targets=Targets([target]))
    assert manifest.format_version == version
    assert CampaignManifest.from_document(manifest.to_document()).targets == Targets([target])


def test_a_campaign_of_one_plain_target_is_written_as_it_always_was() -> None:
    values = {
        "format": "clopa-campaign", "name": "Leber Ä", "size": 12, "model_id": "bundled",
        "model_hash": "ab" * 32, "licence": "CC BY", "strategy": "clopa-in",
        "settings": {"seed": 3, "deep": {"x": [1, 2]}}, "label": "liver", "created": "now",
        "format_version": 1,
    }  # fmt: skip
    assert MANIFEST.to_document() == seal(values)
    assert MANIFEST.targets == Targets([Target("liver")])


def test_a_version_that_was_needed_once_stays() -> None:
    manifest = MANIFEST.with_targets(THREE).with_targets(Targets.named(["liver"]))
    assert manifest.format_version == 2
    assert CampaignManifest.from_document(manifest.to_document()) == manifest


@pytest.mark.parametrize(("label", "name"), [("", "target"), (" \n", "target"), ("a\nb", "a b")])
def test_a_label_of_version_1_that_could_not_be_a_targets_name_is_made_one(label: str, name: str) -> None:
    values = {"format": "clopa-campaign", "format_version": 1, "name": "x", "size": 1, "label": label}
    assert CampaignManifest.from_document(seal(values)).targets[0].name == name


def test_targets_without_a_first_are_refused() -> None:
    with pytest.raises(ConfigError, match="no target ''"):
        MANIFEST.with_targets(Targets([Target("spleen", "spleen")]))


@pytest.mark.parametrize("found", [None, "1", 2.5, 3])
def test_a_version_that_is_newer_or_no_number_is_refused(found: object) -> None:
    with pytest.raises(ConfigError, match="The mark has format version"):
        check_format_version(found, 2, "The mark")

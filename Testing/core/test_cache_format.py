"""Records, marks and manifests as documents, and the specification that describes them all."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import textwrap
from pathlib import Path

import pytest
from cache_helpers import SHAPE, a_campaign, a_confirmation, a_mask, an_image

from clopa_annotator.cache.confirming import Prepared, version_files
from clopa_annotator.cache.drafts import CaseDraft
from clopa_annotator.cache.format.manifest import CampaignManifest
from clopa_annotator.cache.format.mark import Mark
from clopa_annotator.cache.format.record import CaseEntry, CaseRecord
from clopa_annotator.cache.format.sealed import seal
from clopa_annotator.errors import ConfigError, CorruptRecord
from clopa_annotator.types import CaseState, Slot, Target, Targets
from clopa_annotator.types.targets import FIRST

TARGETS = Targets([Target("lésion"), Target("Niere", "niere", (1, 2, 3), instances=True)])


def a_record(slot: Slot = FIRST) -> tuple[CaseRecord, dict[str, bytes]]:
    manifest = CampaignManifest("x", 1, targets=TARGETS)
    prepared = Prepared(a_confirmation(slot=slot), a_mask(1), an_image().geometry)
    record = prepared.record(manifest, "0" * 64, "int16")
    return version_files(prepared, dataclasses.replace(record, case_version=1, sequence=1), TARGETS)


@pytest.mark.parametrize("slot", [FIRST, Slot("niere"), Slot("niere", 2)])
def test_a_record_comes_back_from_its_document(slot):
    record, files = a_record(slot)
    again = CaseRecord.from_document(files["record.json"])
    assert vars(again) == vars(record)
    assert record.files == {n: hashlib.sha256(files[n]).hexdigest() for n in ("mask.seg.nrrd", "mask.b2nd")}


def test_entries_marks_and_manifests_come_back_from_their_documents():
    entry = CaseEntry("Fall Ä", 3, "ab", "series", "now")
    mark = Mark(7, "Fall Ä", "withdraw", CaseState.NEEDS_REVIEW, 2, "B", "border", "now")
    manifest = CampaignManifest("n", 3, "m", "h", "CC BY", "static", {"a": {"b": [1]}}, "liver", "now")
    assert CaseEntry.from_document(entry.to_document()) == entry
    assert Mark.from_document(mark.to_document()) == mark
    other = dataclasses.replace(mark, slot=Slot("niere", 3))
    assert Mark.from_document(other.to_document()) == other
    assert CampaignManifest.from_document(manifest.to_document()) == manifest


@pytest.mark.parametrize("kind", [CaseEntry, Mark, CaseRecord, CampaignManifest])
def test_a_document_of_another_kind_or_a_newer_version_is_refused(kind):
    with pytest.raises((CorruptRecord, ConfigError)):
        kind.from_document(seal({"format": "something else", "format_version": 1}))
    form = {CaseEntry: "clopa-case", Mark: "clopa-mark", CaseRecord: "clopa-record"}.get(
        kind, "clopa-campaign"
    )
    with pytest.raises(ConfigError, match="Update the program"):
        kind.from_document(seal({"format": form, "format_version": 99}))
    with pytest.raises(CorruptRecord):
        kind.from_document(seal({"format": form, "format_version": 1}))


def test_documents_of_the_first_slot_are_those_of_version_1_and_others_say_what_they_are_of():
    first, other = (json.loads(a_record(slot)[1]["record.json"]) for slot in (FIRST, Slot("niere", 2)))
    assert first["format_version"] == 1 and not {"target", "instance", "slot"} & set(first)
    assert (other["format_version"], other["target"], other["instance"]) == (2, "niere", 2)
    assert (first["label"], other["label"]) == ("lésion", "Niere")
    assert list(first) == [key for key in other if key not in ("target", "instance")]


@pytest.mark.parametrize(
    "values", [{"target": "Niere"}, {"target": "niere", "instance": 0}, {"instance": "2"}]
)
def test_a_record_of_something_that_cannot_be_is_damaged(values):
    content = json.loads(a_record()[1]["record.json"]) | values
    del content["sha256"]
    with pytest.raises(CorruptRecord, match="names no target"):
        CaseRecord.from_document(seal(content))


def test_the_hash_of_a_confirmation_tells_what_it_is_of():
    hashes = {a_record(slot)[0].confirmation_hash for slot in (FIRST, Slot("niere"), Slot("niere", 2))}
    assert len(hashes) == 3


# -- the specification --------------------------------------------------------------------------------------


def test_the_reader_in_the_specification_reads_a_campaign(tmp_path, monkeypatch):
    text = (Path(__file__).resolve().parents[2] / "docs" / "formats" / "campaign.md").read_text(
        encoding="utf-8"
    )
    example = textwrap.dedent(text.partition("## Reading without this project")[2])
    a_campaign(tmp_path / "campaign").close()
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    exec(compile(example, "campaign.md", "exec"), found)
    assert found["record"]["case_id"] in ("case 0", "case 1")
    assert found["image"].shape == found["mask"].shape == SHAPE


def test_the_specification_names_every_key_of_every_document():
    text = (Path(__file__).resolve().parents[2] / "docs" / "formats" / "campaign.md").read_text(
        encoding="utf-8"
    )
    for kind in (CaseRecord, CaseEntry, Mark, CampaignManifest, CaseDraft):
        keys = set(kind.__dataclass_fields__)
        if "slot" in keys:
            keys = keys - {"slot"} | {"target", "instance"}
        missing = [key for key in keys if f"`{key}`" not in text and f'"{key}"' not in text]
        assert not missing, kind

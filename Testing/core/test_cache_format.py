"""Sealed documents, names, regions, records, masks and images as bytes: what other programs rely on."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import re
import struct
import textwrap
from pathlib import Path

import blosc2
import numpy as np
import pytest
import SimpleITK as sitk
import slicerio
from cache_helpers import SHAPE, a_campaign, a_confirmation, a_mask, an_image
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from clopa_annotator.cache import names
from clopa_annotator.cache.chunked import decode_chunked, encode_chunked, image_hash, mask_hash, plain_voxels
from clopa_annotator.cache.confirming import Prepared, version_files
from clopa_annotator.cache.drafts import CaseDraft
from clopa_annotator.cache.manifest import CampaignManifest
from clopa_annotator.cache.prompts import prompt_from_json, prompt_to_json
from clopa_annotator.cache.record import CaseEntry, CaseRecord, Mark
from clopa_annotator.cache.regions import mask_from_json, mask_to_json, region_from_json, region_to_json
from clopa_annotator.cache.sealed import seal, unseal
from clopa_annotator.cache.segnrrd import decode_seg_nrrd, encode_seg_nrrd
from clopa_annotator.errors import ConfigError, CorruptRecord, InputError
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import BoxPrompt, CaseState, PointPrompt, TimedPrompt

relaxed = settings(deadline=None, max_examples=40)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
documents = st.dictionaries(st.text().filter(lambda k: k != "sha256"), json_values, min_size=1, max_size=5)


def test_a_sealed_document_is_json_with_its_own_checksum_in_the_first_line():
    document = seal({"case": "Fall Ä", "numbers": [1, 2.5, None]})
    first, _, rest = document.partition(b"\n")
    values = json.loads(document)
    assert values == {"sha256": hashlib.sha256(rest).hexdigest(), "case": "Fall Ä", "numbers": [1, 2.5, None]}
    assert first == b'{"sha256": "' + values["sha256"].encode() + b'",'


@given(documents)
@relaxed
def test_what_is_sealed_is_what_is_unsealed(values):
    assert unseal(seal(values), "it") == values


def test_every_single_flipped_bit_of_a_document_is_found():
    document = seal({"case": "Fall Ä", "note": "a\u2028b\\n", "x": [1.5e-7, True, None]})
    for bit in range(8 * len(document)):
        damaged = bytearray(document)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptRecord):
            unseal(bytes(damaged), "it")


@given(st.integers(0, 200))
@relaxed
def test_every_truncation_of_a_document_is_found(kept):
    document = seal({"a": "b" * 200})
    with pytest.raises(CorruptRecord):
        unseal(document[:kept], "it")


def test_values_that_json_does_not_know_are_refused():
    for value in (math.nan, math.inf, {1, 2}, b"bytes"):
        with pytest.raises(InputError, match="cannot be stored as JSON"):
            seal({"x": value})


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1))
@relaxed
def test_a_folder_name_is_safe_on_every_file_system(case_id):
    name = names.case_folder(case_id)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,39})-[0-9a-f]{16}", name)
    assert names.CASE_FOLDER.fullmatch(name)
    assert name.split("-")[0].upper() not in {"CON", "PRN", "AUX", "NUL"} or "-" in name


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), unique=True, max_size=20))
@relaxed
def test_different_cases_have_different_folders(case_ids):
    assert len({names.case_folder(c) for c in case_ids}) == len(case_ids)


@given(st.text())
@relaxed
def test_a_name_is_either_refused_or_can_be_written_and_shown_on_one_line(text):
    try:
        names.check_name(text, "The case id")
    except InputError:
        return
    assert text.encode("utf-8").decode("utf-8") == text
    assert text.strip()
    assert len(text.splitlines()) == 1


masks = nps.arrays(np.uint8, nps.array_shapes(min_dims=3, max_dims=3, max_side=7), elements=st.integers(0, 1))


@given(masks)
@relaxed
def test_a_region_and_a_mask_as_text_come_back(mask):
    bounds = tuple((2, 2 + n) for n in mask.shape)
    region, where = region_from_json(json.loads(json.dumps(region_to_json(mask, bounds))))
    np.testing.assert_array_equal(region, mask)
    assert where == bounds
    np.testing.assert_array_equal(mask_from_json(mask_to_json(mask), mask.shape), mask)


def test_a_region_is_short():
    mask = np.zeros((1, 256, 256), np.uint8)
    mask[:, 100:120, 20:200] = 1
    assert len(region_to_json(mask, ((0, 1), (0, 256), (0, 256)))["bits"]) < 200


@pytest.mark.parametrize("bits", ["not base64!", "AAAA", "eJz7/wEAAvAB8A==" * 2])
def test_bits_that_do_not_fill_their_box_are_refused(bits):
    with pytest.raises(CorruptRecord):
        region_from_json({"bounds_kji": [[0, 9], [0, 9], [0, 9]], "bits": bits})


def test_bits_are_not_unpacked_beyond_their_box():
    bomb = region_to_json(np.zeros((200, 200, 200), np.uint8), ((0, 200), (0, 200), (0, 200)))
    with pytest.raises(CorruptRecord, match="do not fill"):
        region_from_json({**bomb, "bounds_kji": [[0, 1], [0, 1], [0, 1]]})


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(CorruptRecord, match="shape"):
        mask_from_json(mask_to_json(a_mask()), (1, 2, 3))


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "telepathy", "at_s": 0, "positive": True},
        {"kind": "point", "at_s": 0, "positive": True},
        {"kind": "point", "at_s": "soon", "positive": True, "position_kji": [1, 2, 3]},
        {"kind": "box", "at_s": 0, "positive": True, "bounds_kji": [[1, 2]]},
    ],
)
def test_a_prompt_that_cannot_be_read_is_named(values):
    with pytest.raises(CorruptRecord):
        prompt_from_json(values, SHAPE)


def test_points_and_boxes_are_plain_numbers_even_from_numpy():
    point = TimedPrompt(PointPrompt(tuple(np.int64([1, 2, 3]))), np.float32(0.5))
    box = TimedPrompt(BoxPrompt(((0, 1), (2, 5), (np.int32(3), 4)), False), 1)
    for prompt in (point, box):
        assert prompt_from_json(json.loads(json.dumps(prompt_to_json(prompt))), SHAPE) == prompt


# -- records -------------------------------------------------------------------------------------------------


def a_record() -> tuple[CaseRecord, dict[str, bytes]]:
    prepared = Prepared(a_confirmation(), a_mask(1), an_image().geometry)
    record = prepared.record(CampaignManifest("x", 1, label="lésion"), "0" * 64, "int16")
    return version_files(prepared, dataclasses.replace(record, case_version=1, sequence=1))


def test_a_record_comes_back_from_its_document():
    record, files = a_record()
    again = CaseRecord.from_document(files["record.json"])
    assert vars(again) == vars(record)
    assert record.files == {n: hashlib.sha256(files[n]).hexdigest() for n in ("mask.seg.nrrd", "mask.b2nd")}


def test_entries_marks_and_manifests_come_back_from_their_documents():
    entry = CaseEntry("Fall Ä", 3, "ab", "series", "now")
    mark = Mark(7, "Fall Ä", "withdraw", CaseState.NEEDS_REVIEW, 2, "B", "border", "now")
    manifest = CampaignManifest("n", 3, "m", "h", "CC BY", "static", {"a": {"b": [1]}}, "liver", "now")
    assert CaseEntry.from_document(entry.to_document()) == entry
    assert Mark.from_document(mark.to_document()) == mark
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


# -- masks ---------------------------------------------------------------------------------------------------


def test_slicers_own_reader_finds_one_segment_on_the_images_grid(tmp_path):
    path = tmp_path / "mask.seg.nrrd"
    path.write_bytes(encode_seg_nrrd(a_mask(), an_image().geometry, "left \\ lesion"))
    found = slicerio.read_segmentation(str(path))
    np.testing.assert_allclose(found["ijkToLPS"], an_image().geometry.ijk_to_lps(), atol=1e-12)
    np.testing.assert_array_equal(found["voxels"].transpose(2, 1, 0), a_mask())
    (segment,) = found["segments"]
    assert (segment["id"], segment["labelValue"], segment["layer"]) == ("Segment_1", 1, 0)
    assert segment["name"].replace("\\\\", "\\") == "left \\ lesion"
    assert segment["status"] == "completed"
    assert segment["extent"] == [0, 10, 0, 8, 0, 6]
    assert found["masterRepresentation"] == "Binary labelmap"
    assert found["containedRepresentationNames"] == ["Binary labelmap"]


def test_simpleitk_reads_the_same_mask_on_the_same_grid(tmp_path):
    path = tmp_path / "mask.seg.nrrd"
    geometry = an_image().geometry
    path.write_bytes(encode_seg_nrrd(a_mask(), geometry))
    volume = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume), a_mask())
    np.testing.assert_allclose(volume.GetSpacing(), geometry.spacing_ijk_mm, rtol=1e-12)
    np.testing.assert_allclose(volume.GetOrigin(), geometry.origin_lps_mm, rtol=1e-12)
    np.testing.assert_allclose(volume.GetDirection(), geometry.direction, atol=1e-12)


def test_the_segments_extent_is_tight_and_that_of_an_empty_one_ends_before_it_begins():
    mask = np.zeros(SHAPE, np.uint8)
    geometry = an_image().geometry
    assert b"Segment0_Extent:=0 -1 0 -1 0 -1\n" in encode_seg_nrrd(mask, geometry)
    mask[2, 3:5, 4:9] = 1
    assert b"Segment0_Extent:=4 8 3 4 2 2\n" in encode_seg_nrrd(mask, geometry)


def test_the_same_mask_gives_the_same_bytes():
    assert encode_seg_nrrd(a_mask(), an_image().geometry) == encode_seg_nrrd(a_mask(), an_image().geometry)


@given(masks)
@relaxed
def test_any_mask_comes_back_from_both_of_its_files(mask):
    document = encode_seg_nrrd(mask, Geometry(mask.shape))
    np.testing.assert_array_equal(decode_seg_nrrd(document, "it", mask.shape), mask)
    np.testing.assert_array_equal(decode_chunked(encode_chunked(mask, binary=True), "it", mask.shape), mask)


@pytest.mark.parametrize("cut", [0, 10, 300, -1, -8, -40])
def test_a_truncated_mask_is_found(cut):
    with pytest.raises(CorruptRecord, match="damaged"):
        decode_seg_nrrd(encode_seg_nrrd(a_mask(), an_image().geometry)[:cut], "it", SHAPE)


def test_a_mask_with_another_size_in_its_header_is_found():
    document = encode_seg_nrrd(a_mask(), an_image().geometry)
    for sizes in (b"sizes: 11 9 8", b"sizes: 11 9 6", b"sizes: 9999 9999 9999"):
        with pytest.raises(CorruptRecord):
            decode_seg_nrrd(document.replace(b"sizes: 11 9 7", sizes), "it", SHAPE)


# -- images --------------------------------------------------------------------------------------------------


def test_any_blosc2_library_opens_an_image(tmp_path):
    path = tmp_path / "voxels.b2nd"
    image = an_image(1, (70, 66, 65))
    path.write_bytes(encode_chunked(plain_voxels(image.voxels)))
    array = blosc2.open(str(path), mode="r")
    assert (array.shape, array.chunks, array.blocks) == ((70, 66, 65), (64, 64, 64), (32, 32, 32))
    np.testing.assert_array_equal(array[:], image.voxels)


def test_the_image_hash_is_the_one_that_the_specification_describes():
    image = an_image()
    plain = io.BytesIO()
    plain.write(b"clopa-image-1\n<i2\n")
    plain.write(struct.pack("<3q", *image.geometry.shape_kji))
    plain.write(struct.pack("<3d", *image.geometry.spacing_ijk_mm))
    plain.write(struct.pack("<3d", *image.geometry.origin_lps_mm))
    plain.write(struct.pack("<9d", *(x + 0.0 for x in image.geometry.direction)))
    plain.write(image.voxels.astype("<i2").tobytes())
    assert (
        image_hash(plain_voxels(image.voxels), image.geometry) == hashlib.sha256(plain.getvalue()).hexdigest()
    )


def test_byte_order_and_minus_zero_do_not_change_the_image_hash():
    image = an_image()
    big = plain_voxels(image.voxels.astype(">i2"))
    minus = dataclasses.replace(
        image.geometry, direction=tuple(-0.0 if x == 0 else x for x in image.geometry.direction)
    )
    assert image_hash(big, minus) == image_hash(plain_voxels(image.voxels), image.geometry)


def test_the_mask_hash_does_not_depend_on_memory_layout():
    mask = a_mask()
    assert mask_hash(np.asfortranarray(mask)) == mask_hash(mask)


def test_a_volume_of_another_shape_is_refused_before_it_is_unpacked():
    bomb = encode_chunked(np.zeros((500, 500, 500), np.uint8), binary=True)
    assert len(bomb) < 100_000
    with pytest.raises(CorruptRecord, match="its shape is"):
        decode_chunked(bomb, "it", SHAPE)


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\x00" * 5000])
def test_a_damaged_volume_is_named(damage):
    with pytest.raises(CorruptRecord, match="it is damaged"):
        decode_chunked(damage, "it", SHAPE)


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
        missing = [
            key for key in kind.__dataclass_fields__ if f"`{key}`" not in text and f'"{key}"' not in text
        ]
        assert not missing, kind

"""Masks as Slicer's segmentations: other programs read them, and damage is found."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import slicerio
from cache_helpers import SHAPE, a_mask, an_image, masks, relaxed
from hypothesis import given

from clopa_annotator.cache.format.chunked import decode_chunked, encode_chunked
from clopa_annotator.cache.format.segnrrd import Segment, decode_seg_nrrd, encode_seg_nrrd, segment_of
from clopa_annotator.errors import CorruptRecord
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import CodedTerm, Target


def test_slicers_own_reader_finds_one_segment_on_the_images_grid(tmp_path):
    path = tmp_path / "mask.seg.nrrd"
    path.write_bytes(encode_seg_nrrd(a_mask(), an_image().geometry, Segment("left \\ lesion")))
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


def test_a_target_gives_its_segment_colour_and_terms_and_a_plain_one_those_of_version_1(tmp_path):
    assert segment_of(Target("target")) == Segment()
    liver = Target("Liver", colour=(255, 0, 51), code=CodedTerm("SCT", "10200004", "Liver ~ whole"))
    path = tmp_path / "mask.seg.nrrd"
    path.write_bytes(encode_seg_nrrd(a_mask(), an_image().geometry, segment_of(liver)))
    (segment,) = slicerio.read_segmentation(str(path))["segments"]
    assert segment["color"] == [1.0, 0.0, 0.2]
    assert segment["terminology"]["type"] == ["SCT", "10200004", "Liver   whole"]
    assert segment["terminology"]["category"] == ["SCT", "85756007", "Tissue"]


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

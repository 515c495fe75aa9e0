"""What travels is checked before memory is taken for it."""

from __future__ import annotations

import json
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nnInteractive.inference.remote.serialization import pack_array, unpack_array

from clopa_annotator.errors import InputError
from clopa_annotator.wire import array_framing
from clopa_annotator.wire.array_framing import (
    WireLimits,
    check_frame,
    pack,
    pack_bundle,
    read_header,
    unpack,
    unpack_bundle,
)

LIMITS = WireLimits(max_array_bytes=1 << 20)


def lying(dtype: bytes = b"float32", shape: tuple[int, ...] = (4, 4, 4), chunks: int = 1) -> bytes:
    head = struct.pack("<4sBBBB", b"NNIA", 1, 1, len(shape), len(dtype)) + dtype
    return head + struct.pack(f"<{len(shape)}q", *shape) + struct.pack("<I", chunks) + b"\0" * 64


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.bool_, np.uint8, np.int16, np.float32, np.float64]),
        hnp.array_shapes(min_dims=3, max_dims=4, max_side=9),
    )
)
def test_an_array_comes_back_as_it_was_sent(array: np.ndarray) -> None:
    again = unpack(pack(array), LIMITS)
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)


def test_frames_of_the_stock_client_are_understood() -> None:
    image = np.random.default_rng(0).normal(size=(1, 7, 6, 5)).astype(np.float32)
    np.testing.assert_array_equal(unpack(pack_array(image), LIMITS), image)


@pytest.mark.parametrize("dtype", sorted(array_framing.DTYPES))
@pytest.mark.parametrize("is_empty", [True, False], ids=["zeros", "numbers"])
def test_frames_are_those_of_the_stock_client_to_the_byte(dtype: str, is_empty: bool) -> None:
    drawn = np.random.default_rng(0).integers(0, 100, (3, 61, 17)) * (not is_empty)
    for array in (
        drawn.astype(dtype),
        drawn.astype(dtype)[:, ::-1],
        drawn.astype(np.dtype(dtype).newbyteorder(">")),
    ):
        frame = pack(array)
        np.testing.assert_array_equal(unpack_array(frame), array)
        np.testing.assert_array_equal(unpack(frame, LIMITS), array)
        shuffle = array_framing.shuffle_for(array.dtype)
        assert frame == pack_array(array, filters=[shuffle], clevel=1, nthreads=1)


def test_an_array_longer_than_a_chunk_travels_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_framing, "_CHUNK_BYTES", 1000)
    array = np.arange(4321, dtype=np.int16)
    np.testing.assert_array_equal(unpack(pack(array), LIMITS), array)


WITHOUT_THE_ENGINES_PACKAGES = """
import importlib, pkgutil, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"nnInteractive", "torch", "scipy", "SimpleITK", "fastapi"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
import numpy as np
import clopa_annotator.client, clopa_annotator.wire
for room in (clopa_annotator.client, clopa_annotator.wire):
    for module in pkgutil.iter_modules(room.__path__, room.__name__ + "."):
        importlib.import_module(module.name)
from clopa_annotator.wire.array_framing import WireLimits, pack_bundle, unpack_bundle
image = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
assert (unpack_bundle(pack_bundle({}, {"image": image}), WireLimits()).array("image") == image).all()
"""


def test_the_client_works_with_what_slicer_has_and_is_asked_to_install() -> None:
    """A real Slicer could connect, and failed at the first image: nnInteractive was imported to send it."""
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_ENGINES_PACKAGES], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"NNIA",
        b"NOPE" + lying()[4:],
        lying(dtype=b"object"),
        lying(dtype=b"O"),
        lying(dtype=b"M8[s]"),
        lying(dtype=b"f4,f4"),
        lying(shape=(-1, 4, 4)),
        lying(shape=(0, 4, 4)),
        lying(shape=(1 << 40, 4, 4)),
        lying(shape=(10_000, 10_000, 10_000)),
        lying(shape=(1,) * 5),
        lying(chunks=0),
        lying(chunks=2**32 - 1),
        lying(),
    ],
)
def test_a_lying_frame_is_refused_before_memory_is_taken(
    frame: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object, **__: object) -> None:
        pytest.fail("memory was taken for a frame that lies")

    monkeypatch.setattr(np, "empty", no_memory)
    with pytest.raises(InputError):
        check_frame(frame, LIMITS)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 400))
def test_damaged_frames_never_raise_anything_but_an_input_error(noise: bytes, where: int, cut: int) -> None:
    frame = bytearray(pack(np.arange(64, dtype=np.int16).reshape(4, 4, 4)))
    frame[where : where + len(noise)] = noise
    try:
        unpack(bytes(frame[: max(len(frame) - cut, 0)]), LIMITS)
    except InputError:
        pass


def test_a_bundle_brings_json_and_arrays_together() -> None:
    mask = np.zeros((3, 4, 5), np.uint8)
    mask[1, 2, 3] = 1
    bundle = unpack_bundle(pack_bundle({"case_id": "Ä 1"}, {"mask": mask, "again": mask}), LIMITS)
    assert bundle.meta == {"case_id": "Ä 1"}
    np.testing.assert_array_equal(bundle.array("mask"), mask)
    with pytest.raises(InputError, match="does not carry"):
        bundle.array("image")


def test_arrays_of_a_bundle_count_together() -> None:
    half = np.zeros(600_000, np.uint8).reshape(100, 100, 60)
    with pytest.raises(InputError, match="too large"):
        unpack_bundle(pack_bundle({}, {"a": half, "b": half}), LIMITS)


@pytest.mark.parametrize(
    "head", ["[]", '{"meta": 1}', '{"meta": {}, "arrays": [["a", -1]]}', "{", "[" * 50_000]
)
def test_a_malformed_bundle_is_refused(head: str) -> None:
    body = array_framing.BUNDLE_MAGIC + struct.pack("<BI", 1, len(head)) + head.encode()
    with pytest.raises(InputError):
        unpack_bundle(body, LIMITS)


def test_a_table_that_promises_more_than_came_is_refused() -> None:
    head = json.dumps({"meta": {}, "arrays": [["a", 1 << 50]]}).encode()
    with pytest.raises(InputError, match="cut off"):
        unpack_bundle(array_framing.BUNDLE_MAGIC + struct.pack("<BI", 1, len(head)) + head, LIMITS)


def test_the_beginning_of_a_frame_is_enough_to_refuse_it() -> None:
    with pytest.raises(InputError, match="at most"):
        read_header(lying(shape=(16_000, 16_000, 16_000))[:60], LIMITS)

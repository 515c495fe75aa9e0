"""Sealed documents: JSON with its own checksum, in which every flipped bit is found."""

from __future__ import annotations

import hashlib
import json
import math

import pytest
from cache_helpers import relaxed
from hypothesis import given
from hypothesis import strategies as st

from clopa_annotator.cache.format.sealed import seal, unseal
from clopa_annotator.errors import CorruptRecord, InputError

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

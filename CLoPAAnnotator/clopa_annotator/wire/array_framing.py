"""Arrays and bundles on the wire, checked before memory is taken for them.

One array travels as nnInteractive 2.6 frames it (magic ``NNIA``, dtype name, shape, blosc2 chunks), written
and read here because Slicer's Python has blosc2 and no nnInteractive. Several travel together with JSON in a
*bundle*::

    magic   4 bytes   b"CLPB"
    version 1 byte    1
    length  4 bytes   little-endian, of the JSON that follows
    JSON              {"meta": {...}, "arrays": [["name", frame length in bytes], ...]}
    frames            one after the other, in that order

Nothing in either is ever unpickled. A header that lies (shape, dtype, length, chunk sizes) is refused before
anything is allocated for it.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from clopa_annotator.errors import InputError

Array = npt.NDArray[np.generic]
Meta = dict[str, Any]

DTYPES = frozenset(
    {"bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"}
    | {"float16", "float32", "float64"}
)
BUNDLE_MAGIC = b"CLPB"
BUNDLE_VERSION = 1
_FRAME_MAGIC = b"NNIA"
_CHUNK_BYTES = 1 << 30
_BLOSC_HEADER_BYTES = 32


@dataclass(frozen=True)
class WireLimits:
    """What a receiver accepts.

    Attributes:
        max_array_bytes: size of one array once unpacked.
        max_axis: voxels along one axis.
        max_json_bytes: size of the JSON in a bundle, a header or a request body.
        max_arrays: arrays in one bundle.
    """

    max_array_bytes: int = 4 << 30
    max_axis: int = 16_384
    max_json_bytes: int = 4 << 20
    max_arrays: int = 10_000


@dataclass(frozen=True)
class FrameHeader:
    """What an array frame says about itself.

    Attributes:
        dtype: numpy's name of the element type.
        shape: length of each axis.
        offset: byte at which the chunk table starts.
    """

    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes of the unpacked array."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, eq=False)
class Bundle:
    """JSON and named arrays that travel together."""

    meta: Meta
    arrays: Mapping[str, Array] = field(default_factory=dict)

    def array(self, name: str) -> Array:
        """One array by name.

        Raises:
            InputError: the bundle has no such array.
        """
        if name not in self.arrays:
            raise InputError(f"The message refers to an array {name!r} that it does not carry.")
        return self.arrays[name]


def read_header(buffer: bytes | memoryview, limits: WireLimits) -> FrameHeader:
    """Read and check a frame's header; ``buffer`` may hold just the beginning of the frame.

    Raises:
        InputError: not a frame, an element type or shape that is not accepted, or too large.
    """
    if len(buffer) < 8:
        raise InputError("An array is shorter than its own header.")
    magic, version, codec, ndim, name_length = struct.unpack_from("<4sBBBB", buffer, 0)
    if magic != _FRAME_MAGIC or version != 1 or codec not in (1, 2):
        raise InputError("An array is not in the format that nnInteractive 2.6 sends.")
    end = 8 + name_length + 8 * ndim
    if ndim > 4 or len(buffer) < end:
        raise InputError(f"An array with {ndim} axes, or a cut-off header, cannot be read.")
    name = bytes(buffer[8 : 8 + name_length]).decode("ascii", "replace")
    if name not in DTYPES:
        raise InputError("An array has an element type that is not accepted; send plain numbers or bool.")
    shape = struct.unpack_from(f"<{ndim}q", buffer, 8 + name_length)
    if any(not 1 <= n <= limits.max_axis for n in shape):
        raise InputError(f"An array has shape {shape}; each axis may have 1 to {limits.max_axis} elements.")
    header = FrameHeader(name, tuple(shape), end)
    if header.nbytes > limits.max_array_bytes:
        raise InputError(
            f"An array would take {header.nbytes} bytes; at most {limits.max_array_bytes} are accepted here."
        )
    return header


def _chunks(view: memoryview, header: FrameHeader) -> Iterator[tuple[int, memoryview]]:
    """Each chunk's first byte within the array, and its packed bytes, checked before it is handed on."""
    import blosc2

    offset, done = header.offset, 0
    if len(view) < offset + 4:
        raise InputError("An array was cut off on its way.")
    (chunks,) = struct.unpack_from("<I", view, offset)
    offset += 4
    if chunks != -(-header.nbytes // _CHUNK_BYTES):
        raise InputError("An array's number of chunks does not fit its shape.")
    for _ in range(chunks):
        if len(view) < offset + 16:
            raise InputError("An array was cut off on its way.")
        unpacked, packed = struct.unpack_from("<QQ", view, offset)
        offset += 16
        fits = unpacked == min(header.nbytes - done, _CHUNK_BYTES)
        if packed < _BLOSC_HEADER_BYTES or packed > len(view) - offset or not fits:
            raise InputError("An array's chunk is cut off, or does not fit its shape.")
        stated, stored, _ = blosc2.get_cbuffer_sizes(view[offset : offset + packed])
        if stated != unpacked or stored != packed:
            raise InputError("An array's chunk says another size inside than outside.")
        yield done, view[offset : offset + packed]
        offset, done = offset + packed, done + unpacked
    if offset != len(view) or done != header.nbytes:
        raise InputError("An array is longer or shorter than its shape says.")


def check_frame(buffer: bytes | memoryview, limits: WireLimits) -> FrameHeader:
    """Check a whole frame without unpacking it: header, chunk table and each chunk's own header.

    Raises:
        InputError: as `read_header`, or the chunks are cut off or do not add up to the shape.
    """
    header = read_header(buffer, limits)
    for _ in _chunks(memoryview(buffer), header):
        pass
    return header


def unpack(buffer: bytes | memoryview, limits: WireLimits) -> Array:
    """Check a frame and unpack it.

    Raises:
        InputError: the frame is malformed or too large.
    """
    import blosc2

    header = check_frame(buffer, limits)
    array = np.empty(header.shape, header.dtype)
    target = array.reshape(-1).view(np.uint8)
    try:
        for start, chunk in _chunks(memoryview(buffer), header):
            blosc2.decompress2(bytes(chunk), dst=target[start : start + _CHUNK_BYTES])
    except (ValueError, RuntimeError, TypeError) as error:
        raise InputError(f"An array could not be unpacked: {error}") from error
    return array


def shuffle_for(dtype: np.dtype[Any]) -> Any:
    """blosc2's filter for elements of a type: bytes of equal weight side by side, where there are several."""
    import blosc2

    return blosc2.Filter.NOFILTER if dtype.itemsize == 1 else blosc2.Filter.SHUFFLE


def pack(array: npt.NDArray[Any]) -> bytes:
    """The frame of one array, little-endian, compressed without loss.

    blosc2 is told the true size of an element: with another one it packs some arrays of zeros so that it
    cannot unpack them.
    """
    import blosc2

    plain = np.ascontiguousarray(array)
    plain = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
    name = plain.dtype.name.encode("ascii")
    size = plain.dtype.itemsize
    flat = plain.reshape(-1).view(np.uint8)
    starts = range(0, flat.size, _CHUNK_BYTES)
    shape = array.shape  # `ascontiguousarray` makes an axis for a single number
    parts = [struct.pack("<4sBBBB", _FRAME_MAGIC, 1, 1, len(shape), len(name)), name,
             struct.pack(f"<{len(shape)}q", *shape), struct.pack("<I", len(starts))]  # fmt: skip
    for start in starts:
        chunk = flat[start : start + _CHUNK_BYTES]
        packed = blosc2.compress2(
            chunk.data,
            typesize=size,
            codec=blosc2.Codec.ZSTD,
            clevel=1,
            filters=[shuffle_for(plain.dtype)],
            nthreads=1,
        )
        parts += [struct.pack("<QQ", chunk.size, len(packed)), packed]
    return b"".join(parts)


def read_json(text: bytes | str, limits: WireLimits) -> Meta:
    """Parse a JSON object of bounded size.

    Raises:
        InputError: too large, not JSON, nested too deeply, or not an object.
    """
    if len(text) > limits.max_json_bytes:
        raise InputError(f"A message has {len(text)} bytes of JSON; {limits.max_json_bytes} are accepted.")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("A message is not valid JSON.") from error
    if not isinstance(value, dict):
        raise InputError("A message must be a JSON object.")
    return value


def pack_bundle(meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]] | None = None) -> bytes:
    """One message out of JSON-able ``meta`` and named arrays."""
    frames = {name: pack(array) for name, array in (arrays or {}).items()}
    head = json.dumps(
        {"meta": dict(meta), "arrays": [[name, len(frame)] for name, frame in frames.items()]},
        separators=(",", ":"),
    ).encode()
    start = BUNDLE_MAGIC + struct.pack("<BI", BUNDLE_VERSION, len(head))
    return b"".join([start, head, *frames.values()])


def _table(head: Meta, limits: WireLimits) -> list[tuple[str, int]]:
    rows = head.get("arrays", [])
    if not isinstance(rows, list) or len(rows) > limits.max_arrays:
        raise InputError("A message's list of arrays is malformed or too long.")
    table = []
    for row in rows:
        good = isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and type(row[1]) is int
        if not good or row[1] < 0:
            raise InputError("A message's list of arrays is malformed.")
        table.append((row[0], row[1]))
    return table


def unpack_bundle(body: bytes, limits: WireLimits) -> Bundle:
    """The inverse of `pack_bundle`.

    Raises:
        InputError: malformed, cut off, or beyond the limits (all arrays of a bundle together count).
    """
    if len(body) < 9 or body[:4] != BUNDLE_MAGIC or body[4] != BUNDLE_VERSION:
        raise InputError("A message is not in the format that this version of CLoPA Annotator sends.")
    (length,) = struct.unpack_from("<I", body, 5)
    if length > limits.max_json_bytes or 9 + length > len(body):
        raise InputError("A message was cut off, or its JSON is too long.")
    head = read_json(body[9 : 9 + length], limits)
    meta = head.get("meta")
    if not isinstance(meta, dict):
        raise InputError("A message has no meta object.")
    view, offset, total, frames = memoryview(body), 9 + length, 0, []
    for name, size in _table(head, limits):
        if size > len(body) - offset:
            raise InputError("A message was cut off on its way.")
        frames.append((name, view[offset : offset + size]))
        total += check_frame(frames[-1][1], limits).nbytes
        offset += size
    if offset != len(body) or total > limits.max_array_bytes:
        raise InputError("A message is longer than its own table says, or its arrays are too large.")
    return Bundle(meta, {name: unpack(frame, limits) for name, frame in frames})

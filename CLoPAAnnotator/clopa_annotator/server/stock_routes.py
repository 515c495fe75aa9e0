"""Checks on nnInteractive's own routes, which trust their client more than an engine may.

Its server crashes on a point outside the image, accepts any dtype name and a target buffer of any shape, and
lets whoever knows a lease use it. Requests are checked here, before its routes see them; its code is not
touched. Coordinates are nnInteractive's "x, y, z", which are fed (k, j, i).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from clopa_annotator.errors import InputError, NoImage, SessionExpired
from clopa_annotator.wire.array_framing import FrameHeader, Meta, WireLimits, check_frame, read_json

CLAIM, RELEASE, SET_IMAGE, TARGET = "/claim", "/release", "/set_image", "/set_target_buffer"
POINT, BOX = "/add_point_interaction", "/add_bbox_interaction"
REGIONS = frozenset({"/add_scribble_interaction", "/add_lasso_interaction"})
INITIAL = "/add_initial_seg_interaction"
BINARY = REGIONS | {SET_IMAGE, INITIAL}
PATHS = BINARY | {
    CLAIM, RELEASE, TARGET, POINT, BOX, "/healthz", "/capabilities", "/heartbeat", "/lease_status",
    "/reset_interactions", "/undo", "/predict", "/set_do_autozoom",
}  # fmt: skip


@dataclass
class _Lease:
    owner: str
    shape: tuple[int, ...] | None = None


class StockChecks:
    """What is known about each lease, and the checks that need it; thread-safe."""

    def __init__(self, limits: WireLimits) -> None:
        """No leases yet."""
        self._limits = limits
        self._leases: dict[str, _Lease] = {}
        self._mutex = threading.Lock()

    def claimed(self, lease: str, owner: str) -> None:
        """Note who was given a lease; the oldest notes go when there are very many."""
        with self._mutex:
            self._leases[lease] = _Lease(owner)
            while len(self._leases) > 10_000:
                self._leases.pop(next(iter(self._leases)))

    def released(self, lease: str) -> None:
        """Forget a lease."""
        with self._mutex:
            self._leases.pop(lease, None)

    def require_owner(self, lease: str, owner: str) -> None:
        """Refuse somebody else's lease.

        Raises:
            SessionExpired: it was given to another token; nothing more is said about it.
        """
        known = self._leases.get(lease)
        if known is not None and known.owner != owner:
            raise SessionExpired("lease expired or unknown")

    def image_accepted(self, lease: str, shape: tuple[int, ...]) -> None:
        """Note the shape (channel, k, j, i) of a session's image."""
        with self._mutex:
            if lease in self._leases:
                self._leases[lease].shape = shape[1:]

    def check(self, path: str, lease: str, meta_header: str | None, body: bytes) -> FrameHeader | None:
        """Check one request; returns the header of the array that it carries, if it carries one.

        Raises:
            InputError: malformed, or it does not fit the session's image.
            NoImage: a prompt before an image.
        """
        meta = read_json(meta_header, WireLimits(max_json_bytes=1 << 16)) if meta_header else {}
        if path == SET_IMAGE:
            return self._image(body)
        if path not in BINARY and path not in (POINT, BOX, TARGET):
            return None
        known = self._leases.get(lease)
        if known is None:
            return None
        if known.shape is None:
            raise NoImage("Set an image first.")
        if path in BINARY:
            return self._region(known.shape, meta, body)
        payload = read_json(body, self._limits)
        if path == TARGET:
            _require(payload.get("shape") == list(known.shape), "The target must have the image's shape.")
        elif path == POINT:
            _check_point(payload.get("coordinates"), known.shape)
        else:
            _check_box(payload.get("bbox_coords"), known.shape)
        return None

    def _image(self, body: bytes) -> FrameHeader:
        header = check_frame(body, self._limits)
        _require(len(header.shape) == 4 and header.shape[0] == 1, "Send one channel and three axes.")
        _require(header.dtype != "bool", "An image needs numbers, not bool.")
        return header

    def _region(self, shape: tuple[int, ...], meta: Meta, body: bytes) -> FrameHeader:
        header = check_frame(body, self._limits)
        box = meta.get("interaction_bbox")
        if box is not None:
            _check_box(box, shape, inside=True)
            shape = tuple(high - low for low, high in box)
        _require(header.shape == shape, f"The drawn region has shape {header.shape}; {shape} was expected.")
        return header


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise InputError(sentence)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9


def _check_point(point: Any, shape: tuple[int, ...]) -> None:
    good = isinstance(point, list) and len(point) == 3 and all(_number(c) for c in point)
    _require(good, "A point needs three coordinates.")
    inside = all(0 <= round(c) < n for c, n in zip(point, shape, strict=True))
    _require(inside, f"The point {point} lies outside the image of {shape} voxels.")


def _check_box(box: Any, shape: tuple[int, ...], inside: bool = False) -> None:
    good = isinstance(box, list) and len(box) == 3
    good = good and all(isinstance(side, list) and len(side) == 2 and all(map(_number, side)) for side in box)
    _require(good, "A box needs a lower and an upper bound along each of three axes.")
    for (low, high), n in zip(box, shape, strict=True):
        _require(low < high and high > 0 and low < n, f"The box {box} lies outside the image, or is empty.")
        exact = isinstance(low, int) and isinstance(high, int) and low >= 0 and high <= n
        _require(exact or not inside, f"The region's box {box} reaches out of the image.")

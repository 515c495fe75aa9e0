"""Requests that no client would send, for `fuzz.py`: paths, fields, frames and bodies, mutated or lying."""

from __future__ import annotations

import json
import random
import struct

import numpy as np

from clopa_annotator.wire.array_framing import pack, pack_bundle

STOCK = [
    "/healthz",
    "/capabilities",
    "/claim",
    "/release",
    "/heartbeat",
    "/lease_status",
    "/set_image",
    "/set_target_buffer",
    "/reset_interactions",
    "/undo",
    "/predict",
    "/set_do_autozoom",
    "/add_bbox_interaction",
    "/add_point_interaction",
    "/add_scribble_interaction",
    "/add_lasso_interaction",
    "/add_initial_seg_interaction",
]
OURS = [
    "hello",
    "state",
    "cases",
    "statistics",
    "episodes",
    "weights",
    "events",
    "cases/add",
    "cases/take",
    "cases/leave",
    "cases/skip",
    "cases/reopen",
    "cases/withdraw",
    "cases/flag",
    "drafts/save",
    "drafts/load",
    "confirm",
    "episodes/pause",
    "episodes/cancel",
    "weights/activate",
    "weights/rollback",
    "weights/policy",
    "export",
    "export/start",
    "export/state",
    "export/stop",
    "import/begin",
    "import/look",
    "import/keep",
    "import/done",
    "session/model",
    "targets/set",
    "session/open",
    "session/choose",
    "session/prompts",
    "session/undo",
    "session/redo",
    "session/reset",
    "session/beat",
    "session/close",
]
PATHS = STOCK + [f"/campaign/v2/{p}" for p in OURS]
TRICKS = [
    "/campaign/v2/images/../../../../etc/passwd",
    "/campaign/v2/images/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/campaign/v2/images/" + "a" * 64,
    "/campaign/v2/images/" + "A" * 6000,
    "/campaign/v2/images/%00",
    "/campaign/v2/state",
    "/campaign/v9999999/state",
    "/docs",
    "/openapi.json",
    "/campaign/v2/",
    "//campaign//v1//state",
]
WORDS = [
    "",
    "..",
    "../..",
    "/etc/passwd",
    "C:\\Windows",
    "\0",
    "case",
    "ä\n",
    "x" * 5000,
    "NaN",
    "~root",
    "con",
]


def anything(rng: random.Random, depth: int = 0) -> object:
    """A JSON value of no particular kind."""
    kinds = [
        lambda: rng.choice([0, 1, -1, 3, 2**31, -(2**63), 10**30]),
        lambda: rng.choice([0.5, -1e308, 1e308]),
        lambda: rng.choice([True, False, None]),
        lambda: rng.choice(WORDS),
    ]
    if depth < 3:
        kinds.append(lambda: [anything(rng, depth + 1) for _ in range(rng.randrange(5))])
        kinds.append(lambda: {rng.choice(FIELDS): anything(rng, depth + 1) for _ in range(rng.randrange(4))})
    return rng.choice(kinds)()


FIELDS = [
    "case_id",
    "image_hash",
    "geometry",
    "source",
    "reason",
    "prompts",
    "mask",
    "seconds_active",
    "confirmation_id",
    "weights_version",
    "first_shown_dice",
    "suggestion",
    "note",
    "based_on_version",
    "paused",
    "version",
    "policy",
    "format",
    "folder",
    "session",
    "request",
    "have",
    "replaces",
    "coordinates",
    "bbox_coords",
    "include_interaction",
    "run_prediction",
    "shape",
    "dtype",
    "do_autozoom",
    "force_full_refine",
    "kind",
    "position_kji",
    "bounds_kji",
    "positive",
    "at_s",
    "shape_kji",
    "spacing_ijk_mm",
    "origin_lps_mm",
    "direction",
    "brief",
]


def a_prompt(rng: random.Random) -> dict[str, object]:
    row: dict[str, object] = {
        "kind": rng.choice(["point", "box", "scribble", "lasso", "mask", "spell"]),
        "positive": rng.choice([True, False, 1]),
        "position_kji": [rng.randrange(-5, 50) for _ in range(rng.choice([2, 3, 3, 3, 4]))],
        "bounds_kji": [[rng.randrange(-2, 20), rng.randrange(0, 50)] for _ in range(3)],
        "mask": rng.choice(["mask", "nothing"]),
    }
    if rng.random() < 0.3:
        row[rng.choice(list(row))] = anything(rng)
    return row


def fields_of(rng: random.Random, keys: dict[str, str]) -> dict[str, object]:
    """A message with plausible fields, some of them mutated."""
    meta: dict[str, object] = {
        "case_id": rng.choice(["case 0", "case 1", *WORDS]),
        "session": rng.choice(list(keys.values()) or ["x"]),
        "request": str(rng.random()),
        "have": rng.randrange(5),
        "prompts": [a_prompt(rng) for _ in range(rng.randrange(4))],
        "coordinates": [rng.randrange(-3, 60) for _ in range(3)],
        "bbox_coords": [[rng.randrange(-3, 30), rng.randrange(-3, 60)] for _ in range(3)],
        "include_interaction": True,
        "shape": [rng.choice([40, 36, 32, 10**6, -1]) for _ in range(3)],
        "dtype": rng.choice(["uint8", "object", "float32", "M8", "(4,)u1"]),
        "confirmation_id": rng.choice(["c1", "c2", "", str(rng.random())]),
        "geometry": {"shape_kji": [8, 8, 8], "spacing_ijk_mm": [1, 1, 1], "origin_lps_mm": [0, 0, 0],
                     "direction": [1, 0, 0, 0, 1, 0, 0, 0, 1]},
        "folder": rng.choice(WORDS),
        "format": rng.choice(["weights", "segnrrd", "zip", ""]),
        "policy": rng.choice(["between cases", "never"]),
        "paused": rng.choice([True, False, "yes"]),
        "version": rng.choice([0, 0, 99, -1, "1"]),
        "reason": rng.choice(WORDS),
    }  # fmt: skip
    for _ in range(rng.randrange(3)):
        meta[rng.choice(FIELDS)] = anything(rng)
    return meta


def a_frame(rng: random.Random) -> bytes:
    """An array, honest or lying."""
    shape = rng.choice([(8, 8, 8), (40, 36, 32), (1, 40, 36, 32), (2, 2), (1,), (1, 6, 6)])
    array = np.zeros(shape, rng.choice([np.uint8, np.float32, np.int16, np.bool_, np.complex64]))
    if rng.random() < 0.5:
        array[..., 0] = 1
    frame = bytearray(pack(array)) if array.dtype != np.complex64 else bytearray(b"NNIA\1\1\3\11complex64")
    for _ in range(rng.choice([0, 0, 1, 2, 8])):
        frame[rng.randrange(len(frame))] = rng.randrange(256)
    if rng.random() < 0.2:
        struct.pack_into("<q", frame, min(8 + frame[7], len(frame) - 8), rng.choice([2**40, -1, 0, 2**62]))
    return bytes(frame[: rng.choice([len(frame), len(frame), len(frame), rng.randrange(len(frame))])])


def a_body(rng: random.Random, keys: dict[str, str]) -> tuple[bytes, str]:
    """A body and its content type."""
    binary = "application/octet-stream"
    meta = fields_of(rng, keys)
    choice = rng.randrange(8)
    if choice == 0:
        return rng.randbytes(rng.choice([0, 3, 200, 5000])), rng.choice(
            [binary, "application/json", "text/plain"]
        )
    if choice == 1:
        return json.dumps(anything(rng)).encode(), "application/json"
    if choice == 2:
        return b"[" * 30_000, "application/json"
    if choice in (3, 4):
        return json.dumps(meta).encode(), "application/json"
    if choice == 5:
        return a_frame(rng), binary
    mask = np.zeros(rng.choice([(40, 36, 32), (8, 8, 8), (1, 6, 6)]), np.uint8)
    mask[..., 1] = 1
    image = np.random.default_rng(rng.randrange(9)).normal(size=(8, 8, 8)).astype(np.float32)
    bundle = bytearray(pack_bundle(meta, {"mask": mask, "image": image}))
    if choice == 6:
        for _ in range(rng.randrange(1, 6)):
            bundle[rng.randrange(len(bundle))] = rng.randrange(256)
        bundle = bundle[: rng.choice([len(bundle), rng.randrange(len(bundle))])]
    return bytes(bundle), binary

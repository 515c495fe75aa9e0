"""A campaign of format version 1, written by nothing but what docs/formats/campaign.md said of that version.

No code of the cache takes part, so that what the cache reads stays what older programs wrote.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sqlite3
from pathlib import Path

import blosc2
import numpy as np

SHAPE = (4, 5, 6)
GRID = {
    "shape_kji": list(SHAPE),
    "spacing_ijk_mm": [1.0, 1.0, 1.0],
    "origin_lps_mm": [0.0, 0.0, 0.0],
    "direction": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
}
OLD_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE pending (path TEXT PRIMARY KEY, sequence INTEGER) WITHOUT ROWID;
CREATE TABLE images (image_hash TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE cases (
    case_id TEXT PRIMARY KEY, number INTEGER NOT NULL, folder TEXT NOT NULL UNIQUE, image_hash TEXT NOT NULL,
    source TEXT NOT NULL, state TEXT NOT NULL, note TEXT NOT NULL, versions INTEGER NOT NULL,
    last_version INTEGER NOT NULL, current INTEGER) WITHOUT ROWID;
CREATE TABLE versions (sequence INTEGER PRIMARY KEY);
PRAGMA user_version = 1;
"""


def sealed(values: dict[str, object]) -> bytes:
    rest = (",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in values.items()) + "\n}\n").encode()
    return b'{"sha256": "' + hashlib.sha256(rest).hexdigest().encode() + b'",\n' + rest


def put(path: Path, data: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def chunks(voxels: np.ndarray) -> bytes:
    return bytes(blosc2.asarray(voxels, chunks=voxels.shape, blocks=voxels.shape).to_cframe())


def a_mask(seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(SHAPE) < 0.4).astype(np.uint8)


def write_image(folder: Path) -> str:
    voxels = np.arange(np.prod(SHAPE), dtype="<i2").reshape(SHAPE)
    numbers = [*GRID["spacing_ijk_mm"], *GRID["origin_lps_mm"], *GRID["direction"]]
    content = b"clopa-image-1\n<i2\n" + np.array(SHAPE, "<i8").tobytes()
    content += np.array(numbers, "<f8").tobytes() + voxels.tobytes()
    digest = hashlib.sha256(content).hexdigest()
    image = {"format": "clopa-image", "format_version": 1, "image_hash": digest, "dtype": "int16"}
    files = {"voxels.b2nd": put(folder / "images" / digest / "voxels.b2nd", chunks(voxels))}
    put(folder / "images" / digest / "image.json", sealed({**image, "geometry": GRID, "files": files}))
    return digest


def write_version(base: Path, case_id: str, digest: str, number: int, sequence: int) -> None:
    mask = a_mask(sequence)
    header = (
        f"NRRD0004\ntype: unsigned char\ndimension: 3\nsizes: {SHAPE[2]} {SHAPE[1]} {SHAPE[0]}\n"
        "encoding: gzip\n\n"
    )
    folder = base / f"v{number:04d}-s{sequence:08d}"
    files = {
        "mask.seg.nrrd": put(folder / "mask.seg.nrrd", header.encode() + gzip.compress(mask.tobytes())),
        "mask.b2nd": put(folder / "mask.b2nd", chunks(mask)),
    }
    record = {
        "format": "clopa-record", "format_version": 1, "case_id": case_id, "case_version": number,
        "sequence": sequence, "confirmation_id": f"id {sequence}", "confirmation_hash": "c" * 64,
        "based_on_version": number - 1, "conflict": False, "image_hash": digest, "image_dtype": "int16",
        "geometry": GRID, "mask_hash": hashlib.sha256(mask.tobytes()).hexdigest(),
        "mask_voxels": int(mask.sum()), "files": files, "prompts": [], "first_shown_dice": 0.5,
        "annotator": "Ada", "seconds_active": 3.0, "weights_version": 0, "model_hash": "ab" * 32,
        "note": "", "label": "liver", "confirmed_at": "2026-01-01", "software": {"other": "1"},
    }  # fmt: skip
    put(folder / "record.json", sealed(record))


def folder_of(case_id: str) -> str:
    return f"{case_id}-{hashlib.sha256(case_id.encode()).hexdigest()[:16]}"


def make(folder: Path, index: bool = True) -> None:
    """Two cases: "one" with two versions, "two" with one that was withdrawn, and a draft."""
    manifest = {
        "format": "clopa-campaign", "name": "old", "size": 5, "model_id": "bundled", "model_hash": "ab" * 32,
        "licence": "", "strategy": "", "settings": {}, "label": "liver", "created": "2026-01-01",
        "format_version": 1,
    }  # fmt: skip
    put(folder / "campaign.json", sealed(manifest))
    digest = write_image(folder)
    for number, case_id in enumerate(("one", "two"), 1):
        base = folder / "cases" / folder_of(case_id)
        entry = {"format": "clopa-case", "format_version": 1, "case_id": case_id, "number": number}
        put(base / "case.json", sealed({**entry, "image_hash": digest, "source": "", "added": "2026"}))
    one, two = (folder / "cases" / folder_of(case_id) for case_id in ("one", "two"))
    write_version(one, "one", digest, 1, 1)
    write_version(one, "one", digest, 2, 2)
    write_version(two, "two", digest, 1, 3)
    mark = {
        "format": "clopa-mark", "format_version": 1, "sequence": 4, "case_id": "two", "action": "withdraw",
        "state": "NEEDS_REVIEW", "case_version": 1, "annotator": "Ada", "reason": "wrong side", "at": "2026",
    }  # fmt: skip
    put(two / "m00000004.json", sealed(mark))
    nothing = {"shape_kji": list(SHAPE), "bounds_kji": [[0, 0]] * 3, "bits": "eJwDAAAAAAE="}
    draft = {
        "format": "clopa-draft", "format_version": 1, "case_id": "two", "mask": nothing, "prompts": [],
        "annotator": "Ada", "seconds_active": 1.0, "weights_version": 0, "first_shown_dice": None,
        "based_on_version": 0, "saved_at": "2026",
    }  # fmt: skip
    put(folder / "drafts" / f"{folder_of('two')}.json", sealed(draft))
    if index:
        connection = sqlite3.connect(folder / "index.sqlite")
        connection.executescript(OLD_SCHEMA)
        for key, value in (
            ("complete", 1),
            ("last_sequence", 9),
            ("manifest", (folder / "campaign.json").read_bytes()),
        ):
            connection.execute("INSERT INTO meta VALUES (?, ?)", (key, value))
        connection.commit()
        connection.close()

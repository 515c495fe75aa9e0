"""Throws malformed, lying, stolen and replayed requests at an engine.

``python Testing/chaos/fuzz.py --requests 10000`` starts an engine of its own, fuzzes it, prints what came
back, and ends with 1 if anything was wrong: a crash, a hang, an answer 500 whose reason is not in the log, or
memory that grows.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from clopa_annotator.engine.frames import pack, pack_bundle

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
    "session/model",
    "session/open",
    "session/prompts",
    "session/undo",
    "session/redo",
    "session/reset",
    "session/beat",
    "session/close",
]
PATHS = STOCK + [f"/campaign/v1/{p}" for p in OURS]
TRICKS = [
    "/campaign/v1/images/../../../../etc/passwd",
    "/campaign/v1/images/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/campaign/v1/images/" + "a" * 64,
    "/campaign/v1/images/" + "A" * 6000,
    "/campaign/v1/images/%00",
    "/campaign/v2/state",
    "/campaign/v9999999/state",
    "/docs",
    "/openapi.json",
    "/campaign/v1/",
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


@dataclass
class Report:
    """What came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    hangs: int = 0
    broken: int = 0
    unlogged: list[str] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    def sentence(self) -> str:
        grown = (
            self.memory_mb[-1] - self.memory_mb[len(self.memory_mb) // 2] if len(self.memory_mb) > 1 else 0.0
        )
        return (
            f"{sum(self.statuses.values())} answers {dict(sorted(self.statuses.items()))}, "
            f"{self.broken} connections cut by the engine, {self.hangs} hangs, "
            f"{len(self.unlogged)} unlogged failures, memory "
            f"{self.memory_mb[0]:.0f} -> {self.memory_mb[-1]:.0f} MB (second half {grown:+.0f} MB)"
        )


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


def lying_length(url: str, token: str, rng: random.Random) -> int:
    """Promise a body of another size than is sent; returns the status, or 0 if the line was cut."""
    parts = urlsplit(url)
    path = rng.choice(["/set_image", "/campaign/v1/confirm", "/campaign/v1/session/open"])
    length = rng.choice(["99999999999999", "-5", "1e9", "12", "18446744073709551617"])
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n"
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    with socket.create_connection((parts.hostname, parts.port), 10) as line:
        line.settimeout(10)
        line.sendall(head.encode() + b"NNIA")
        line.shutdown(socket.SHUT_WR)
        try:
            answer = line.recv(200)
        except TimeoutError:
            return -1
        except OSError:
            return 0
    found = re.match(rb"HTTP/1.1 (\d+)", answer)
    return int(found.group(1)) if found else 0


class Fuzzer:
    """Keeps a few leases and sessions so that some requests reach deep."""

    def __init__(self, url: str, tokens: list[str], log: Path, pid: int, seed: int) -> None:
        self.url, self.tokens, self.log = url, tokens, log
        self.rng = random.Random(seed)
        self.process = psutil.Process(pid)
        self.http = httpx.Client(base_url=url, timeout=60.0, trust_env=False)
        self.keys: dict[str, str] = {}
        self.leases: list[str] = ["", "stolen"]
        self.report = Report()

    def run(self, requests: int) -> Report:
        for number in range(requests):
            if number % max(1, requests // 20) == 0:
                self.report.memory_mb.append(self.process.memory_info().rss / 2**20)
            if number % 50 == 0:
                self.open_doors()
            self.one()
        self.report.memory_mb.append(self.process.memory_info().rss / 2**20)
        assert self.http.get("/healthz").json() == {"ok": True}
        return self.report

    def open_doors(self) -> None:
        """Make some state that requests can hit."""
        token = self.tokens[0]
        headers = {"Authorization": f"Bearer {token}"}
        claimed = self.http.post("/claim", headers=headers)
        if claimed.status_code == 200:
            self.leases.append(claimed.json()["lease_token"])
        image = np.random.default_rng(0).normal(size=(40, 36, 32)).astype(np.float32)
        geometry = {"shape_kji": [40, 36, 32], "spacing_ijk_mm": [1, 1, 1], "origin_lps_mm": [0, 0, 0],
                    "direction": [1, 0, 0, 0, 1, 0, 0, 0, 1]}  # fmt: skip
        body = pack_bundle({"geometry": geometry}, {"image": image})
        binary = {**headers, "Content-Type": "application/octet-stream"}
        opened = self.http.post("/campaign/v1/session/open", content=body, headers=binary)
        if opened.status_code == 200:
            self.keys[token] = opened.json()["session"]
        self.http.post(
            "/set_image", content=pack(image[None]), headers={**binary, "X-Lease-Token": self.leases[-1]}
        )

    def one(self) -> None:
        rng = self.rng
        if rng.random() < 0.03:
            self.note(lying_length(self.url, self.tokens[0], rng), "lying length")
            return
        path = rng.choice(TRICKS) if rng.random() < 0.08 else rng.choice(PATHS)
        body, kind = a_body(rng, self.keys)
        headers = {"Content-Type": kind, "X-Lease-Token": rng.choice(self.leases[-4:])}
        if rng.random() < 0.95:
            headers["Authorization"] = f"Bearer {rng.choice(self.tokens)}"
        if rng.random() < 0.3:
            headers["X-Meta"] = json.dumps(rng.choice([anything(rng), fields_of(rng, self.keys)]))[:60_000]
        method = rng.choice(["POST", "POST", "POST", "POST", "GET", "PUT", "DELETE"])
        if path.endswith("/events"):
            path, method = f"{path}?after={rng.choice(['x', '-1', '9' * 40, '1.5'])}", "GET"
        try:
            answer = self.http.request(method, path, content=body, headers=headers)
            self.note(
                answer.status_code, f"{method} {path}", answer.text if answer.status_code == 500 else ""
            )
        except httpx.TimeoutException:
            self.note(-1, path)
        except httpx.TransportError:
            self.note(0, path)

    def note(self, status: int, what: str, text: str = "") -> None:
        if status == -1:
            self.report.hangs += 1
        elif status == 0:
            self.report.broken += 1
        else:
            self.report.statuses[status] += 1
        if status == 500:
            number = re.search(r"under ([0-9a-f]{8})", text)
            reason = number.group(1) if number else json.loads(text)["detail"]
            if reason not in self.log.read_text(errors="replace"):
                self.report.unlogged.append(f"{what}: {text[:200]}")


def main() -> int:
    from engine_process import EngineProcess
    from engine_support import a_model, make_campaign

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        campaign = make_campaign(Path(folder) / "campaign", a_model(Path(folder) / "model"))
        engine = EngineProcess(campaign).start()
        began = time.monotonic()
        fuzzer = Fuzzer(
            engine.url, [engine.token], campaign / "logs" / "engine.log", engine.process.pid, given.seed
        )
        report = fuzzer.run(given.requests)
        print(f"{report.sentence()}, {time.monotonic() - began:.0f} s")
        for line in report.unlogged[:10]:
            print(line)
        failures = (campaign / "logs" / "engine.log").read_text().count("Unforeseen failure")
        print(f"{failures} unforeseen failures in the log")
        code = engine.close_stdin()
    return 1 if report.hangs or report.unlogged or code else 0


if __name__ == "__main__":
    raise SystemExit(main())

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
from fuzz_requests import PATHS, TRICKS, a_body, anything, fields_of

from clopa_annotator.wire.array_framing import pack, pack_bundle

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


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


def lying_length(url: str, token: str, rng: random.Random) -> int:
    """Promise a body of another size than is sent; returns the status, or 0 if the line was cut."""
    parts = urlsplit(url)
    path = rng.choice(["/set_image", "/campaign/v2/confirm", "/campaign/v2/session/open"])
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
        opened = self.http.post("/campaign/v2/session/open", content=body, headers=binary)
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

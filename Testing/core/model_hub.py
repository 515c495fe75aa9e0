"""A server like Hugging Face's on this machine, for tests of downloads: real requests, no internet."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clopa_annotator import models

FILES = {
    "plans.json": b'{"plans": 1}',
    "dataset.json": b"{}",
    "fold_0/checkpoint_final.pth": bytes(range(256)) * 9000,
}
LARGE = "fold_0/checkpoint_final.pth"
COMMIT = "c0ffee" + 34 * "0"


class Hub:
    """What the server has and does; set its fields, and it behaves so.

    Attributes:
        contents: what it sends, by the name in the model's folder.
        listed: what its list says that it sends.
        extra: further files of its list, full path to size.
        cut_at: bytes of the large file after which the line is cut, once.
        answers: how many requests are answered before every one fails.
        sent: each file whose content was asked for, in this order.
        headers: of every request.
        paths: of every request.
    """

    def __init__(self) -> None:
        self.contents = dict(FILES)
        self.listed = dict(FILES)
        self.extra: dict[str, int] = {}
        self.cut_at: int | None = None
        self.answers = 1000
        self.sent: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []

    def siblings(self) -> list[dict[str, object]]:
        """The files as ``/api/models/…?blobs=true`` lists them."""
        rows = [self._sibling(name, data) for name, data in self.listed.items()]
        return rows + [{"rfilename": path, "size": size, "blobId": "x"} for path, size in self.extra.items()]

    def tree(self) -> list[dict[str, object]]:
        """The files as ``/api/models/…/tree`` lists them."""
        rows = []
        for row in self.siblings():
            lfs = row.get("lfs")
            if isinstance(lfs, dict):
                row["lfs"] = {"oid": lfs["sha256"], "size": lfs["size"], "pointerSize": 130}
            rows.append({**row, "type": "file", "path": row["rfilename"], "oid": row["blobId"]})
        return rows

    def etag(self, name: str) -> str:
        """The name under which the server keeps a file's content."""
        row = self._sibling(name, self.listed[name])
        return str(row["lfs"]["sha256"] if isinstance(row.get("lfs"), dict) else row["blobId"])  # type: ignore[index]

    def _sibling(self, name: str, data: bytes) -> dict[str, object]:
        sha1 = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        row = {"rfilename": f"{models.OFFICIAL.folder}/{name}", "size": len(data), "blobId": sha1}
        if name == LARGE:
            lfs = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            return {**row, "lfs": lfs}
        return row


class Handler(BaseHTTPRequestHandler):
    """Answers for the server's hub."""

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined, no-any-return]

    def do_GET(self) -> None:
        self.hub.headers.append(dict(self.headers))
        self.hub.paths.append(self.path)
        self.hub.answers -= 1
        if self.hub.answers < 0:
            self.send_error(503)
        elif "/tree/" in self.path:
            self._answer(json.dumps(self.hub.tree()).encode())
        elif self.path.startswith("/api/models/"):
            name = models.OFFICIAL.repository
            self._answer(json.dumps({"id": name, "sha": COMMIT, "siblings": self.hub.siblings()}).encode())
        else:
            self._send_file(self.path.split(f"/{models.OFFICIAL.folder}/")[1])

    do_HEAD = do_GET

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_file(self, name: str) -> None:
        data = self.hub.contents.get(name)
        if data is None:
            return self.send_error(503)
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{self.hub.etag(name)}"')
        self.send_header("X-Linked-Size", str(len(self.hub.listed[name])))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.hub.sent.append(name)
        if self.hub.cut_at is not None and name == LARGE:
            self.wfile.write(data[: self.hub.cut_at])
            self.hub.cut_at, self.close_connection = None, True
        else:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The server, at work; what is downloaded comes from it."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hub = hub  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(time, "sleep", lambda _: None)  # the library waits longer before each new try
    yield hub
    server.shutdown()
    server.server_close()


@pytest.fixture
def get(hub: Hub, tmp_path: Path) -> Callable[..., Path]:
    """Download the official model from the server into the test's folder."""

    def download(**options: object) -> Path:
        given = {"accepted_licence": models.OFFICIAL.licence, "root": tmp_path, **options}
        return models.download("official", **given)  # type: ignore[arg-type]

    return download

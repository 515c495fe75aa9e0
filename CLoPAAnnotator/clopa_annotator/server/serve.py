"""``clopa engine``: the process that owns one campaign.

When it is ready it writes one line of JSON to standard output::

    {"event": "ready", "url": "http://127.0.0.1:41873", "api": 1, "pid": 4711, "token_file": "..."}

Whoever started it reads the address there (port 0 takes a free one) and the token in the file.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import uvicorn

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.campaign.engine import Engine, EngineSettings
from clopa_annotator.errors import ConfigError, EngineError
from clopa_annotator.server.app import make_engine_app
from clopa_annotator.server.logs import close_engine_log, open_engine_log
from clopa_annotator.server.shutdown import PATIENCE_S, Shutdown, leave
from clopa_annotator.wire.messages import API_VERSION
from clopa_annotator.wire.tokens import load_token_file

logger = logging.getLogger(__name__)

TOKEN_FILE = "tokens.json"
GRACE_S = 1


@dataclass(frozen=True)
class Tls:
    """Where the certificate lies.

    Attributes:
        certificate: PEM file, with the chain.
        key: PEM file of the private key.
    """

    certificate: Path
    key: Path


def run_engine(
    campaign: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    token_file: Path | None = None,
    *,
    device: str = "auto",
    parent_stdin: bool = False,
    tls: Tls | None = None,
    settings: EngineSettings | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve a campaign until the process is asked to end (SIGINT, SIGTERM, or standard input closing).

    For a process of its own: called from its main thread, this does not return but ends the process, at most
    some seconds after it was asked to, whatever is still being computed (see `Shutdown`).

    Args:
        campaign: the campaign's folder.
        host: address to listen on; loopback unless something else is said.
        port: 0 takes a free one.
        token_file: made if it is not there; ``tokens.json`` in the campaign's folder unless given.
        device: where to compute.
        parent_stdin: end when standard input closes, so that no engine outlives the program it serves.
        tls: certificate and key; without them an address that others can reach is served in plain text,
            which the log warns about.
        settings: how to serve.
        on_ready: told the address instead of standard output.

    Raises:
        ConfigError: the token file or the address cannot be used.
        CacheError: the campaign cannot be opened, or another engine has it.
        EngineError: the port is taken.
    """
    token_file = token_file or campaign / TOKEN_FILE
    # A program that holds our standard input runs as the same person: what it may write, we may.
    settings = replace(settings or EngineSettings(), export_anywhere=parent_stdin)
    with ExitStack() as cleanup:
        listener = _listen(host, port)
        cleanup.callback(listener.close)
        book = load_token_file(token_file)
        opened = cleanup.enter_context(Campaign.open(campaign, device=device))
        cleanup.callback(close_engine_log, open_engine_log(campaign / "logs"))
        engine = Engine(opened, settings)
        cleanup.callback(engine.close, PATIENCE_S)
        server = _server(make_engine_app(engine, book), listener, tls)
        server.on_ready = on_ready or _announcer(token_file)
        if tls is None and not is_loopback(host):
            logger.warning("Listening on %s without TLS: tokens and images can be read by others.", host)
        _serve(
            server, engine, Shutdown(_letting_go(server, engine), campaign / "logs"), listener, parent_stdin
        )


def _serve(
    server: _Server, engine: Engine, ending: Shutdown, listener: socket.socket, parent_stdin: bool
) -> None:
    server.on_end = lambda: ending.begin("it was asked to")
    if parent_stdin:
        _end_with_parent(ending)
    try:
        server.run(sockets=[listener])
        engine.close(PATIENCE_S)
    finally:
        ending.done()
    if threading.current_thread() is threading.main_thread():
        leave()


def _letting_go(server: uvicorn.Server, engine: Engine) -> Callable[[], None]:
    def let_go() -> None:
        server.should_exit = True
        engine.let_go()

    return let_go


def tls_from(certificate: Path | None, key: Path | None) -> Tls | None:
    """Both files, or none.

    Raises:
        ConfigError: one without the other, or a file that is not there.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ConfigError("TLS needs both files: --tls-certificate and --tls-key.")
    for path in (certificate, key):
        if not path.is_file():
            raise ConfigError(f"There is no file {path}; TLS needs a certificate and its key.")
    return Tls(certificate, key)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ConfigError(f"There is no port {port}; choose one between 1 and 65535, or 0 for a free one.")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        return listener
    except OSError as error:
        raise EngineError(
            f"Port {port} on {host} cannot be used ({error.strerror}); choose another, or 0 for a free one."
        ) from error


def _announcer(token_file: Path) -> Callable[[str], None]:
    def announce(url: str) -> None:
        row = {
            "event": "ready",
            "url": url,
            "api": API_VERSION,
            "pid": os.getpid(),
            "token_file": str(token_file),
        }
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()

    return announce


def _quiet(_: str) -> None:
    """Nobody waits for the address."""


def _nothing() -> None:
    """Nothing to do at the end."""


class _Server(uvicorn.Server):
    """uvicorn, which also says when it listens, and lets endless streams go before it ends."""

    on_ready: Callable[[str], None] = staticmethod(_quiet)
    on_end: Callable[[], None] = staticmethod(_nothing)
    url = ""

    def handle_exit(self, _sig: int, _frame: FrameType | None) -> None:
        # uvicorn would raise the signal again when it is done: SIGTERM would end the process before the
        # trainer is ended and the folder closed.
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.on_ready(self.url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.on_end()
        stopping: asyncio.Event = self.config.app.state.stopping  # type: ignore[union-attr]
        stopping.set()
        await super().shutdown(sockets)


def _server(app: object, listener: socket.socket, tls: Tls | None) -> _Server:
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=128 << 10,
        limit_concurrency=256,
        ssl_certfile=str(tls.certificate) if tls else None,
        ssl_keyfile=str(tls.key) if tls else None,
    )
    server = _Server(config)
    host, port = listener.getsockname()[:2]
    server.url = f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{port}"
    return server


def _end_with_parent(ending: Shutdown) -> None:
    def wait() -> None:
        while sys.stdin.buffer.read(4096):
            continue
        ending.begin("standard input was closed")

    threading.Thread(target=wait, name="parent", daemon=True).start()

"""How the panel makes its client: the real one, unless a test gives another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from clopa_annotator.client.engine_client import EngineClient
from CLoPAAnnotatorLib.engine.Requirements import requireClientPackages

MakeClient = Callable[[str, str, Path, str], EngineClient]
"""From address, token, spool folder and the person's name."""


def httpClient(url: str, token: str, spool: Path, person: str = "") -> EngineClient:
    """The real client; its two packages are imported here, at the point of use."""
    requireClientPackages()
    from clopa_annotator.client.http_client import HttpEngineClient

    return HttpEngineClient(url, token, spool, person=person)

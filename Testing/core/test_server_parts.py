"""Small parts of the engine and its client: logs, paths that are refused, what the client imports."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clopa_annotator.campaign.engine import confined
from clopa_annotator.errors import InputError
from clopa_annotator.server.logs import close_engine_log, make_room, open_engine_log


def test_the_log_rotates_and_keeps_leases_out(tmp_path: Path) -> None:
    handler = open_engine_log(tmp_path)
    logging.getLogger("clopa_annotator.engine").info("served")
    logging.getLogger("nninteractive.server").info("claimed session secret-lease")
    close_engine_log(handler)
    text = (tmp_path / "engine.log").read_text()
    assert "served" in text and "secret-lease" not in text
    trainer = tmp_path / "trainer.log"
    trainer.write_bytes(b"x" * (3 << 20))
    make_room(trainer)
    assert not trainer.exists() and (tmp_path / "trainer.1.log").exists()


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "a/../../x", "/x", "~x", "C:\\x", "a\\..\\..\\b", "x\0", "."]
)
def test_a_path_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        confined(tmp_path / "exports", name)


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError):
        confined(tmp_path / "exports", "link/x")
    assert confined(tmp_path / "exports", "mine") == tmp_path / "exports" / "mine"


def test_the_client_needs_neither_torch_nor_the_servers_packages() -> None:
    blocked = ("torch", "fastapi", "starlette", "uvicorn", "psutil", "scipy", "SimpleITK", "safetensors")
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); import clopa_annotator.client.http_client, "
        "clopa_annotator.wire.tokens, clopa_annotator.server.doctor"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)

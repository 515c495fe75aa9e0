"""One writer at a time: who holds the lock, and what becomes of it when a writer is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import cache_helpers
import pytest
from cache_helpers import a_store, an_image

from clopa_annotator.cache import lock as lock_module
from clopa_annotator.cache.campaign_store import CampaignStore, rebuild_index
from clopa_annotator.errors import CampaignLocked

sound, campaign, tmp_path = cache_helpers.sound, cache_helpers.campaign, cache_helpers.tmp_path

CORE = Path(__file__).resolve().parents[2] / "CLoPAAnnotator"


def test_a_second_writer_is_told_who_writes_and_since_when(tmp_path):
    with a_store(tmp_path) as first:
        with pytest.raises(CampaignLocked, match=rf"process {os.getpid()} on .+ since 20\d\d-.*reading only"):
            CampaignStore.open(tmp_path, writer=True)
        first.add_case("case one", an_image())
    CampaignStore.open(tmp_path, writer=True).close()


WRITER = """
import sys, time
sys.path.insert(0, {core!r})
from pathlib import Path
from clopa_annotator.cache.campaign_store import CampaignStore
store = CampaignStore.open(Path({folder!r}), writer=True)
print("ready", flush=True)
time.sleep(60)
"""


def test_another_process_is_refused_and_its_lock_recovered_when_it_was_killed(campaign):
    script = textwrap.dedent(WRITER.format(core=str(CORE), folder=str(campaign)))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().strip() == "ready"
        with pytest.raises(CampaignLocked, match=f"process {process.pid} "):
            CampaignStore.open(campaign, writer=True)
        with pytest.raises(CampaignLocked):
            rebuild_index(campaign)
        with CampaignStore.open(campaign) as reader:
            assert len(reader.confirmed()) == 2
        process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        process.wait()
        CampaignStore.open(campaign, writer=True).close()


def an_owner(**changes: object) -> str:
    import socket

    values = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": "2020-01-01T00:00:00+00:00",
        "process_start": 0.0,
    }
    return json.dumps({**values, **changes})


@pytest.mark.parametrize(
    ("owner", "free"),
    [
        (an_owner(pid=2**22 + 12345), True),
        (an_owner(process_start=12.0), True),
        (an_owner(), False),
        (an_owner(host="elsewhere", pid=2**22 + 12345), False),
        ("torn {", True),
    ],
    ids=("gone", "another with its number", "alive", "elsewhere", "torn"),
)
def test_without_locks_of_the_system_the_lock_file_decides(campaign, monkeypatch, owner, free):
    monkeypatch.setattr(lock_module, "_try_lock", lambda descriptor: None)
    (campaign / "writer.lock").write_text(owner)
    if free:
        CampaignStore.open(campaign, writer=True).close()
    else:
        with pytest.raises(CampaignLocked, match="since 2020-01-01"):
            CampaignStore.open(campaign, writer=True)

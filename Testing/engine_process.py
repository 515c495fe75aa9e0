"""An engine as a process of its own, as Slicer starts it, with the scripted trainer.

Run as a program it is that process: ``python engine_process.py CAMPAIGN SECONDS``.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
DISK_FULL = "disk-full"
"""While a file of this name lies beside the campaign, the cache's disk is full."""
SLOW = "slow"
"""While a file of this name lies beside the campaign, a prediction takes a minute."""

SUGGESTING = "suggesting"
"""If a file of this name lies beside the campaign when the engine starts, it suggests."""


class EngineProcess:
    """Starts, kills and restarts an engine on one campaign."""

    def __init__(self, campaign: Path, episode_s: float = 1.0, port: int = 0) -> None:
        self.campaign, self.episode_s, self.port = campaign, episode_s, port
        self.url = self.token = ""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> EngineProcess:
        command = [
            sys.executable,
            str(HERE / "engine_process.py"),
            str(self.campaign),
            str(self.episode_s),
            str(self.port),
        ]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.campaign.parent / "engine.stderr").open("a"),
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        line = self.process.stdout.readline()
        assert line, (self.campaign.parent / "engine.stderr").read_text()[-4000:]
        ready = json.loads(line)
        self.url, self.port = ready["url"], int(ready["url"].rsplit(":", 1)[1])
        from clopa_annotator.wire.tokens import first_token

        self.token = first_token(Path(ready["token_file"]))
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        return self

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(60)

    def close_stdin(self) -> int:
        self.process.stdin.close()
        return self.process.wait(90)


def main(campaign: Path, seconds: float, port: int) -> None:
    import torch

    from clopa_annotator.campaign.engine import EngineSettings
    from clopa_annotator.campaign.idle.surroundings import SuggestionSettings
    from clopa_annotator.server.serve import run_engine
    from clopa_annotator.training.supervisor import SupervisorSettings

    torch.set_num_threads(1)
    fill_the_disk_on_request(campaign.parent / DISK_FULL)
    predict_slowly_on_request(campaign.parent / SLOW)
    script = str(HERE / "scripted_trainer.py")
    supervisor = SupervisorSettings(
        command=lambda job: [sys.executable, script, str(job), str(seconds)],
        poll_s=0.05,
        ask_s=5.0,
        backoff_s=0.1,
        restarts=50,
        niceness=0,
    )
    eager = SuggestionSettings(runs=(campaign.parent / SUGGESTING).exists(), quiet_s=0.05, look_s=0.05)
    settings = EngineSettings(supervisor=supervisor, suggestions=eager)
    run_engine(campaign, "127.0.0.1", port, device="cpu", parent_stdin=True, settings=settings)


def fill_the_disk_on_request(flag: Path) -> None:
    """Let every write of the cache fail as on a full disk while the flag exists."""
    from clopa_annotator.cache import campaign_store
    from clopa_annotator.cache.format.disk import Disk

    def hook(step: str, path: Path) -> None:
        if step == "write" and flag.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    campaign_store.Disk = lambda: Disk(hook)  # type: ignore[misc]


def predict_slowly_on_request(flag: Path) -> None:
    """Let the network take a minute while the flag exists."""
    from clopa_annotator.session.logits import TwoClassNetwork

    quick = TwoClassNetwork.__call__

    def slow(network: TwoClassNetwork, patch: object) -> object:
        if flag.exists():
            time.sleep(60.0)
        return quick(network, patch)

    TwoClassNetwork.__call__ = slow  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))

"""A campaign, an engine and one click, by the core that this process finds: ``one_click.py FOLDER MODULES``.

Copied out of the checkout before it runs, so that nothing of the checkout is on its path.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

import clopa_annotator
from clopa_annotator.client.http_client import HttpEngineClient
from clopa_annotator.geometry import Geometry
from clopa_annotator.models import bundled_model_folder
from clopa_annotator.types import Image, PointPrompt
from clopa_annotator.wire.tokens import first_token

CLOPA = [sys.executable, "-m", "clopa_annotator.cli"]
PATIENCE_S = 240.0


def ask(client: HttpEngineClient, call: object) -> object:
    """Wait for an answer; an error is raised."""
    box: dict[str, object] = {}
    call.then(lambda result: box.update(result=result), lambda error: box.update(error=error))
    waited = 0.0
    while not box:
        client.poll(0.05)
        waited += 0.05
        if waited > PATIENCE_S:
            raise TimeoutError(str(call))
    if "error" in box:
        raise box["error"]
    return box["result"]


def a_volume() -> Image:
    """A bright box in noise, 48 voxels along each axis."""
    voxels = np.random.default_rng(0).normal(100, 10, (48, 48, 48)).astype(np.int16)
    voxels[16:32, 16:32, 16:32] += 80
    return Image(voxels, Geometry(voxels.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))


def click(ready: dict[str, str], spool: Path) -> int:
    """One click in the middle of the box; the number of voxels that come back."""
    client = HttpEngineClient(ready["url"], first_token(Path(ready["token_file"])), spool)
    ask(client, client.connect())
    ask(client, client.open_case("one", a_volume()))
    answer = ask(client, client.add_prompts([PointPrompt((24, 24, 24))]))
    client.close()
    return int(np.count_nonzero(answer.proposal.mask))


def main(folder: Path) -> None:
    """Print what was found as one JSON line."""
    campaign = folder / "campaign"
    subprocess.run([*CLOPA, "campaign", "create", str(campaign), "--name", "A", "--size", "5"], check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    command = [*CLOPA, "engine", "--campaign", str(campaign), "--port", "0", "--parent-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as engine:
        voxels = click(json.loads(engine.stdout.readline()), folder / "spool")
        engine.stdin.close()
    found = {"package": clopa_annotator.__file__, "model": str(bundled_model_folder()), "voxels": voxels}
    print(json.dumps(found | {"ended": engine.returncode}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

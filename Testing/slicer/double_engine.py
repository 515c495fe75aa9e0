"""Stands in for the engine's interpreter: the real engine, with the scripted trainer.

The panel runs ``PYTHON -m clopa_annotator.cli engine ...``; its tests let PYTHON be a script that runs this.
``CLOPA_DOUBLE_API`` and ``CLOPA_DOUBLE_PLACES`` make an engine of another version, or a small one.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

TESTING = Path(__file__).resolve().parents[1]
EPISODE_S = 1.5


def interpreter(folder: Path, **settings: str) -> str:
    """A program that behaves as the engine's Python; ``settings`` are environment variables for it alone.

    They stand in the program: Slicer starts others in the environment that it was started in itself, whatever
    has been set since.
    """
    from surroundings import engine_python

    script = folder / "engine-python"
    lines = [f"export {name}='{value}'" for name, value in settings.items()]
    start = f'exec "{engine_python()}" "{Path(__file__).resolve()}" "$@"'
    script.write_text("\n".join(["#!/bin/sh", *lines, start, ""]))
    script.chmod(0o700)
    return str(script)


def serve(campaign: Path) -> None:
    import torch

    from clopa_annotator.wire import messages

    if "CLOPA_DOUBLE_API" in os.environ:
        messages.API_VERSION = int(os.environ["CLOPA_DOUBLE_API"])
    from clopa_annotator.campaign.engine import EngineSettings
    from clopa_annotator.server.serve import run_engine
    from clopa_annotator.training.supervisor import SupervisorSettings

    torch.set_num_threads(1)
    trainer = [sys.executable, str(TESTING / "scripted_trainer.py")]
    supervisor = SupervisorSettings(
        command=lambda job: [*trainer, str(job), str(EPISODE_S)], poll_s=0.05, backoff_s=0.1, restarts=50
    )
    places = int(os.environ.get("CLOPA_DOUBLE_PLACES", "8"))
    run_engine(
        campaign,
        device="cpu",
        parent_stdin=True,
        settings=EngineSettings(max_sessions=places, supervisor=supervisor),
    )


def main(arguments: list[str]) -> int:
    assert arguments[:2] == ["-m", "clopa_annotator.cli"], arguments
    if arguments[2] != "engine":
        from clopa_annotator import cli

        sys.argv = ["clopa", *arguments[2:]]
        return cli.main() or 0
    parser = argparse.ArgumentParser()
    parser.add_argument("--campaign", type=Path)
    serve(parser.parse_known_args(arguments[3:])[0].campaign)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""Set up and run the main job: a whole campaign on generated volumes, with a table and a report at the end.

python scripts/demo.py [--out DIR] [further arguments of `clopa demo`]
"""

from __future__ import annotations

import subprocess
import sys

from _environment import REPOSITORY, prepare


def main() -> int:
    """Prepare the environment, then hand over to ``clopa demo``."""
    command = [str(prepare()), "-m", "clopa_annotator.cli", "demo", *sys.argv[1:]]
    return subprocess.run(command, cwd=REPOSITORY, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())

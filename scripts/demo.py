"""Set up and run the main job: a whole campaign on generated volumes, with a table and a report at the end.

python scripts/demo.py [--out DIR] [further arguments of `clopa demo`]
"""

from __future__ import annotations

import subprocess
import sys

from _environment import clopa, prepare


def main() -> int:
    """Prepare the environment, then hand over to ``clopa demo``; say how to go on."""
    command = [str(prepare()), "-m", "clopa_annotator.cli", "demo", *sys.argv[1:]]
    code = subprocess.run(command, check=False).returncode
    if code == 0 and "--json" not in sys.argv:
        print(f"Go on with {clopa()} --help, and with README.md, On the command line.")
    return code


if __name__ == "__main__":
    raise SystemExit(main())

"""Set up and run the static checks: ruff (lint and format) and mypy in strict mode on the core.

python scripts/check.py [--fix]
"""

from __future__ import annotations

import subprocess
import sys

from _environment import REPOSITORY, prepare


def main() -> int:
    """Run every check, also after one has failed, and return 1 if any did."""
    interpreter = str(prepare("check"))
    fix = "--fix" in sys.argv[1:]
    checks = (
        ("ruff", "check", *(["--fix"] if fix else []), "."),
        ("ruff", "format", *([] if fix else ["--check"]), "."),
        ("mypy",),
    )
    failed = [
        check[:2]
        for check in checks
        if subprocess.run([interpreter, "-m", *check], cwd=REPOSITORY, check=False).returncode
    ]
    for check in failed:
        print(f"failed: {' '.join(check)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())

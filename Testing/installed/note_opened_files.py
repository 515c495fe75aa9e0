"""Copied as ``sitecustomize.py`` into a folder on the path of a fresh process, and its children.

It takes every other copy of the core off the path, and notes which files below ``NOTE_OPENED_OF`` are opened.
"""

import os
import sys
from pathlib import Path

root = os.path.realpath(os.environ["NOTE_OPENED_OF"])
notes = Path(os.environ["NOTE_OPENED_IN"]) / f"opened-{os.getpid()}.txt"
seen = set()


def is_another_copy(entry):
    """Whether a place on the path holds the core and is not the one that is looked at."""
    return (Path(entry) / "clopa_annotator" / "__init__.py").is_file() and os.path.realpath(entry) != root


def note(event, arguments):
    """Keep the name of a file that is opened, once."""
    if event != "open" or not isinstance(arguments[0], (str, bytes)):
        return
    path = os.path.realpath(os.fsdecode(arguments[0]))
    if path.startswith(root + os.sep) and path not in seen and "__pycache__" not in path:
        seen.add(path)
        with notes.open("a", encoding="utf-8") as out:
            out.write(os.path.relpath(path, root).replace(os.sep, "/") + "\n")


sys.path[:] = [entry for entry in sys.path if not is_another_copy(entry)]
sys.addaudithook(note)

"""``current.json``: the number of the current version, for programs that do not want to read the history."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path

from clopa_annotator.durable import write_bytes
from clopa_annotator.errors import CacheError
from clopa_annotator.registry.files import FORMAT

logger = logging.getLogger(__name__)
_one_at_a_time = threading.Lock()


def write_pointer(path: Path, number: int) -> None:
    """Replace the file in one step; threads that bring it up to date at once would share a draft."""
    with _one_at_a_time:
        write_bytes(path, (json.dumps({"format": FORMAT, "version": number}) + "\n").encode())


def refresh_pointer(path: Path, number: int) -> None:
    """Bring the file up to date if a kill between history and pointer left it behind; the history counts."""
    try:
        behind = json.loads(path.read_text("utf-8"))["version"] != number
    except (OSError, ValueError, KeyError, TypeError):  # torn, or never written
        behind = True
    if not behind:
        return
    try:
        write_pointer(path, number)
    except CacheError as error:
        logger.warning("%s could not be brought up to date: %s", path, error)

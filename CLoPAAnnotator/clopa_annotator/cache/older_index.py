"""An index of an earlier schema: what it remembers that no other file says, before it is made again."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

OLDER_SCHEMAS = (1, 2, 3, 4)


def kept_by_an_older_index(path: Path) -> dict[str, Any]:
    """What an index of an earlier schema remembers beyond what the files say; nothing if it is none.

    It goes into the index that is made in its place: the copy of ``campaign.json``, and the highest sequence
    number that was used up.
    """
    if not path.is_file():
        return {}
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=20)) as found:
            version = found.execute("PRAGMA user_version").fetchone()[0]
            rows = found.execute("SELECT key, value FROM meta").fetchall() if version in OLDER_SCHEMAS else []
    except sqlite3.Error:
        logger.info("%s holds nothing that can be kept", path.name)
        return {}
    return {key: value for key, value in rows if key in ("manifest", "last_sequence")}

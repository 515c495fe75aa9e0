"""The engine's log: a file that a person can read, in the campaign's folder, that never grows without end.

Lines carry times, modules and sentences; case ids may appear, images, masks, prompts and tokens never do.
"""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

ENGINE_LOG, TRAINER_LOG = "engine.log", "trainer.log"
LARGEST_BYTES, KEPT = 2 << 20, 5
_LINE = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def open_engine_log(folder: Path, level: int = logging.INFO) -> logging.Handler:
    """Send our own, uvicorn's and nnInteractive's messages to ``folder/engine.log``; returns the handler."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(
        folder / ENGINE_LOG, maxBytes=LARGEST_BYTES, backupCount=KEPT, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter(_LINE))
    for name, lowest in (
        ("clopa_annotator", level),
        ("uvicorn.error", logging.WARNING),
        # Its messages about leases name the leases, which are secrets.
        ("nninteractive.server", logging.WARNING),
    ):
        logger = logging.getLogger(name)
        logger.setLevel(lowest)
        logger.addHandler(handler)
    return handler


def close_engine_log(handler: logging.Handler) -> None:
    """The inverse of `open_engine_log`."""
    for name in ("clopa_annotator", "uvicorn.error", "nninteractive.server"):
        logging.getLogger(name).removeHandler(handler)
    handler.close()


def make_room(path: Path) -> None:
    """Put a log that another process appends to aside once it is large; to be called while nobody writes."""
    if path.exists() and path.stat().st_size > LARGEST_BYTES:
        path.replace(path.with_suffix(".1.log"))

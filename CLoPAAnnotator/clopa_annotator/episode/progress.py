"""What an episode tells while it runs: one line of JSON per update in ``progress.jsonl``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Phase = Literal["preparing", "validating", "training", "resumed", "checking"]


@dataclass(frozen=True)
class Progress:
    """Where an episode stands.

    Attributes:
        phase: "validating" lines carry ``val``, "training" lines ``loss``; "resumed" says that what a killed
            run did after ``epoch`` is done again; "checking" lines come after training, from the gate.
        epoch: from 1; 0 is the validation before the first update.
        epochs: how many there will be.
        update: optimiser steps done, over all epochs.
        updates: how many there will be.
        loss: mean loss of the update's window; None while not training.
        val: validation score of the epoch, in [0, 1]; None unless it has just been computed.
        seconds: wall time so far, over all runs of a resumed episode.
        eta_s: estimated seconds left; None while unknown.
        note: a sentence, for instance that memory ran short; usually empty.
    """

    phase: Phase
    epoch: int
    epochs: int
    update: int
    updates: int
    loss: float | None = None
    val: float | None = None
    seconds: float = 0.0
    eta_s: float | None = None
    note: str = ""


class ProgressFile:
    """Appends lines; a line torn by a kill is closed off, so that it spoils no later one."""

    def __init__(self, path: Path) -> None:
        torn = path.exists() and not path.read_bytes().endswith(b"\n")
        self._file = path.open("a", encoding="utf-8")
        if torn and self._file.tell() > 0:
            self._file.write("\n")

    def write(self, progress: Progress) -> None:
        """Append one line and hand it to the operating system."""
        self._file.write(json.dumps(asdict(progress), ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_progress(path: Path) -> tuple[Progress, ...]:
    """The lines so far, oldest first; torn lines are left out."""
    lines = []
    for line in path.read_text("utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            lines.append(Progress(**json.loads(line)))
        except (ValueError, TypeError):  # a line that a kill cut short
            continue
    return tuple(lines)

"""Label files read ahead of the import, in threads: while one batch waits for the disk, the next is unpacked.

Unpacking, hashing and ITK leave the interpreter to others. Nothing is read that the import would not read:
as soon as a label was not asked for, because all of it is there already, nothing is read ahead any more.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from clopa_annotator.importers.label_files import Content, LabelFile

AHEAD = 16
"""Most labels that are read ahead ..."""
AHEAD_VOXELS = 128 << 20
"""... and most voxels of them, taken to be as large as the last one."""
THREADS = min(4, os.cpu_count() or 1)


class ReadAhead:
    """Labels in their order; each is as it was, but its `read` may only have to be waited for.

    A context manager: whatever is still being read when it ends is waited for, the rest is not begun.
    """

    def __init__(self, labels: Sequence[LabelFile]) -> None:
        """Nothing is read before a label was asked for its content."""
        self._labels = labels
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="labels")
        self._reading: deque[Future[Content]] = deque()
        self._voxels = 0
        """Of the last label; 0 when it was not asked for."""

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def __iter__(self) -> Iterator[LabelFile]:
        for number, label in enumerate(self._labels):
            begun = [self._reading.popleft()] if self._reading else []
            self._read_some(number)
            self._voxels = 0
            yield replace(label, read=partial(self._content, label, begun))

    def _read_some(self, number: int) -> None:
        """Begin to read what follows a label, if the one before it was needed."""
        most = min(AHEAD, max(1, AHEAD_VOXELS // self._voxels)) if self._voxels else 0
        while len(self._reading) < most and number + 1 + len(self._reading) < len(self._labels):
            following = self._labels[number + 1 + len(self._reading)]
            self._reading.append(self._threads.submit(following.read))

    def _content(self, label: LabelFile, begun: list[Future[Content]]) -> Content:
        # Handed over, not kept: whoever holds the label may do so to the end of the import.
        content = begun.pop().result() if begun else label.read()
        self._voxels = math.prod(content.geometry.shape_kji)
        return content

"""Flipped bytes in a checkpoint: the checksums that PyTorch writes, and does not read."""

from __future__ import annotations

import zipfile
from pathlib import Path


def check_sums(path: Path) -> None:
    """Compare each part of a checkpoint with the checksum beside it; PyTorch itself reads flipped bytes.

    Files of PyTorch's old format, and those written with checksums turned off (all of them 0), have none.

    Raises:
        BadZipFile, zlib.error: a part is not what was written.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        if all(part.CRC == 0 for part in parts):
            return
        for part in parts:
            with archive.open(part) as file:
                while file.read(1 << 20):
                    pass

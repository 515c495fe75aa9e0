"""Names of label values in a NIfTI file's header extension, as TotalSegmentator's ``--ml`` writes them.

The extension (NIfTI-1, section "extended header information") holds Connectome Workbench's XML, in which a
``Label`` element has the value as ``Key`` and the name as text.
"""

from __future__ import annotations

import gzip
import re
import struct
from pathlib import Path

_HEADER = 348
_MOST_BYTES = 1 << 20
_LABEL = re.compile(rb'<Label\s[^>]*?Key="(\d+)"[^>]*>\s*(?:<!\[CDATA\[)?([^<\]]*)')


def names_in(path: Path) -> dict[int, str]:
    """Value to name; empty where the file names none. Whoever reads the voxels tells of a damaged file."""
    lower = path.name.lower()
    if not lower.endswith((".nii", ".nii.gz")):
        return {}
    try:
        with gzip.open(path) if lower.endswith(".gz") else path.open("rb") as file:
            start = file.read(_HEADER)
            if len(start) < _HEADER:
                return {}
            order = "<" if struct.unpack("<i", start[:4])[0] == _HEADER else ">"
            offset = int(struct.unpack(order + "f", start[108:112])[0])
            extension = file.read(min(max(offset - _HEADER, 0), _MOST_BYTES))
    except (OSError, EOFError, ValueError, OverflowError):
        return {}
    found = ((int(key), name.decode("utf-8", "replace").strip()) for key, name in _LABEL.findall(extension))
    return {key: name for key, name in found if key and name}

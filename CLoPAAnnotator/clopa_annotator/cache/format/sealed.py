"""JSON documents that carry their own checksum.

The first line of a sealed document is ``{"sha256": "<64 lower-case hexadecimal digits>",`` and a line feed;
the digits are the SHA-256 of every byte after that line. The whole document is valid JSON in UTF-8. A change
of any single bit is found: in the rest by the checksum, in the first line by its fixed form. One top-level
value stands on each line, for people.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from clopa_annotator.errors import CorruptRecord, InputError

Json = dict[str, Any]

_FIRST_LINE = re.compile(rb'\{"sha256": "([0-9a-f]{64})",\n')


def _dumped(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError) as error:
        raise InputError(f"A value cannot be stored as JSON: {error}.") from error


def seal(values: Mapping[str, object]) -> bytes:
    """The document for these plain, non-empty values.

    Raises:
        InputError: a value is not finite, or of a type that JSON does not know.
    """
    lines = (f" {_dumped(key)}: {_dumped(value)}" for key, value in values.items())
    rest = (",\n".join(lines) + "\n}\n").encode("utf-8")
    return b'{"sha256": "' + hashlib.sha256(rest).hexdigest().encode() + b'",\n' + rest


def unseal(document: bytes, name: str) -> Json:
    """The values of a sealed document, without the checksum.

    Args:
        document: the file's bytes.
        name: how to call the file in an error.

    Raises:
        CorruptRecord: the document is not what was written.
    """
    match = _FIRST_LINE.match(document)
    if match is None:
        raise CorruptRecord(f"{name} is damaged: its first line is not the checksum that was written.")
    if hashlib.sha256(document[match.end() :]).hexdigest().encode() != match.group(1):
        raise CorruptRecord(f"{name} is damaged: its content does not fit its checksum.")
    values: Json = json.loads(document)
    del values["sha256"]
    return values

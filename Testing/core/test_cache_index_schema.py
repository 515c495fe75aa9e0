"""The index's tables: every change of them has a number of its own, and the one before is known as older."""

from __future__ import annotations

import hashlib
import sqlite3

from clopa_annotator.cache.index_schema import SCHEMA, SCHEMA_VERSION
from clopa_annotator.cache.older_index import OLDER_SCHEMAS

DIGEST = "7f682464dc8f8ef5"
"""Of the tables of this version: whoever changes them raises the version, and writes its digest here."""


def columns() -> dict[str, list[str]]:
    with sqlite3.connect(":memory:") as index:
        index.executescript(SCHEMA)
        tables = [row[0] for row in index.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {t: [row[1] for row in index.execute(f"PRAGMA table_info({t})")] for t in sorted(tables)}
    index.close()
    return found


def test_a_change_of_the_tables_is_another_version_and_the_one_before_is_an_older_one() -> None:
    assert hashlib.sha256(repr((SCHEMA_VERSION, columns())).encode()).hexdigest()[:16] == DIGEST
    assert tuple(range(1, SCHEMA_VERSION)) == OLDER_SCHEMAS

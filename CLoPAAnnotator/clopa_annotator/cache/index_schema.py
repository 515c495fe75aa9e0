"""The tables of a campaign's index; one of another version is made again from the files."""

from __future__ import annotations

from clopa_annotator.types.review import Verdict

SCHEMA_VERSION = 5
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE pending (path TEXT PRIMARY KEY, sequence INTEGER) WITHOUT ROWID;
CREATE TABLE images (image_hash TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE cases (
    case_id TEXT PRIMARY KEY, number INTEGER NOT NULL, folder TEXT NOT NULL UNIQUE, image_hash TEXT NOT NULL,
    source TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE slots (
    case_id TEXT NOT NULL, target TEXT NOT NULL, instance INTEGER NOT NULL, state TEXT NOT NULL,
    note TEXT NOT NULL, versions INTEGER NOT NULL, last_version INTEGER NOT NULL, current INTEGER,
    is_absent INTEGER NOT NULL, marks INTEGER NOT NULL,
    verdict TEXT NOT NULL, reviewer TEXT NOT NULL, judged INTEGER, comment TEXT NOT NULL, place TEXT NOT NULL,
    PRIMARY KEY (case_id, target, instance)) WITHOUT ROWID;
CREATE TABLE versions (
    sequence INTEGER PRIMARY KEY, case_id TEXT NOT NULL, target TEXT NOT NULL, instance INTEGER NOT NULL,
    case_version INTEGER NOT NULL,
    confirmation_id TEXT NOT NULL UNIQUE, confirmation_hash TEXT NOT NULL, image_hash TEXT NOT NULL,
    mask_hash TEXT NOT NULL, record_hash TEXT NOT NULL, folder TEXT NOT NULL, annotator TEXT NOT NULL,
    based_on INTEGER, conflict INTEGER NOT NULL, withdrawn INTEGER NOT NULL, first_shown_dice REAL,
    prompts INTEGER NOT NULL, seconds_active REAL NOT NULL, weights_version INTEGER NOT NULL,
    confirmed_at TEXT NOT NULL, suggestion TEXT NOT NULL,
    reading INTEGER NOT NULL, is_absent INTEGER NOT NULL,
    UNIQUE (case_id, target, instance, case_version));
CREATE INDEX cases_by_number ON cases (number);
"""

VERDICTS = {
    "accept": Verdict.ACCEPTED,
    "return": Verdict.RETURNED,
    "withdraw": Verdict.NONE,
    "skip": Verdict.NONE,
}
"""What the action of each mark leads to; the others leave a slot's verdict as it is."""

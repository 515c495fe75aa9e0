"""Names of folders and files in a campaign: safe on every file system, whatever the case is called.

The true name of a case stands in its record. The folder's name is made of a readable part (ASCII letters,
digits and hyphens, lower case, at most 40) and the first 16 hexadecimal digits of the SHA-256 of the case id
in UTF-8, so ids that differ only in case, in normalisation or beyond the fortieth letter do not meet, and no
name is reserved, hidden or too long.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from clopa_annotator.errors import InputError
from clopa_annotator.types.targets import FIRST, KEY, Slot

IMAGES, CASES, DRAFTS, STAGING, QUARANTINE = "images", "cases", "drafts", "staging", "quarantine"
READINGS = "readings"
"""Drafts of those who read a case a second time; only where somebody has begun to."""
MANIFEST, INDEX, LOCK = "campaign.json", "index.sqlite", "writer.lock"
IMAGE_RECORD, IMAGE_VOXELS = "image.json", "voxels.b2nd"
TARGETS, FIRST_TARGET = "targets", "_first"
CASE_RECORD, RECORD, MASK, MASK_CHUNKS = "case.json", "record.json", "mask.seg.nrrd", "mask.b2nd"

VERSION_FOLDER = re.compile(r"v(\d{4,})-s(\d{8,})")
MARK_FILE = re.compile(r"m(\d{8,})\.json")
CASE_FOLDER = re.compile(r"[a-z0-9-]{1,40}-[0-9a-f]{16}")
IMAGE_FOLDER = re.compile(r"[0-9a-f]{64}")
TARGET_FOLDER = re.compile(rf"{FIRST_TARGET}|{KEY.pattern}")
INSTANCE_FOLDER = re.compile(r"i(?!0000|0001)(\d{4})")
DRAFT_FILE = re.compile(
    rf"({CASE_FOLDER.pattern})(?:~({TARGET_FOLDER.pattern}))?(?:~({INSTANCE_FOLDER.pattern}))?\.json"
)


def check_name(text: str, what: str) -> None:
    """Refuse a name that cannot be stored or shown.

    Raises:
        InputError: empty, with control characters or line breaks, or not valid Unicode.
    """
    if not text.strip():
        raise InputError(f"{what} is empty.")
    if any(unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") for c in text):
        raise InputError(f"{what} contains a line break, a control character or half a character: {text!r}.")


def case_folder(case_id: str) -> str:
    """Name of the case's folder."""
    plain = unicodedata.normalize("NFKD", case_id).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "case"
    return f"{slug}-{hashlib.sha256(case_id.encode('utf-8')).hexdigest()[:16]}"


def version_folder(case_version: int, sequence: int) -> str:
    """Name of a version's folder; it keeps both numbers even when the record inside is damaged."""
    return f"v{case_version:04d}-s{sequence:08d}"


def mark_file(sequence: int) -> str:
    """Name of a mark's file."""
    return f"m{sequence:08d}.json"


def target_folder(key: str) -> str:
    """Name of a target's folder; the first target, whose key is empty, has a name that no key can be."""
    return key or FIRST_TARGET


def slot_folder(slot: Slot) -> str:
    """Where a slot's versions and marks lie inside the case's folder; empty for the first slot."""
    if slot == FIRST:
        return ""
    base = f"{TARGETS}/{target_folder(slot.target)}"
    return base if slot.instance == 1 else f"{base}/i{slot.instance:04d}"


def slot_named(target: str, instance: str = "") -> Slot:
    """The slot of a target's folder and an instance's, the latter empty for the first."""
    return Slot("" if target == FIRST_TARGET else target, int(instance[1:]) if instance else 1)


def draft_file(case_id: str, slot: Slot = FIRST) -> str:
    """Name of a draft's file."""
    parts = [case_folder(case_id)]
    if slot != FIRST:
        parts.append(target_folder(slot.target))
    if slot.instance > 1:
        parts.append(f"i{slot.instance:04d}")
    return "~".join(parts) + ".json"


def draft_slot(name: str) -> tuple[str, Slot] | None:
    """The case's folder and the slot that a draft's file is of; None if it is no draft's name."""
    match = DRAFT_FILE.fullmatch(name)
    if match is None:
        return None
    folder, target, instance = match.group(1, 2, 3)
    return folder, slot_named(target or FIRST_TARGET, instance or "")

"""Whose files are these: a campaign makes and clears folders of its own, and nobody else's of their names.

Opening a campaign for writing clears what a killed writer had prepared and makes a damaged index again. In a
folder that is no campaign that would be somebody's ``staging`` and somebody's ``index.sqlite``.
"""

from __future__ import annotations

import re
from pathlib import Path

from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.layout import STAGED, Layout
from clopa_annotator.cache.format.manifest import CampaignManifest
from clopa_annotator.cache.index import Index
from clopa_annotator.cache.lock import read_owner
from clopa_annotator.cache.older_index import kept_by_an_older_index
from clopa_annotator.errors import CacheError, ConfigError, CorruptRecord

_INSIDE = {
    names.IMAGES: names.IMAGE_FOLDER,
    names.CASES: names.CASE_FOLDER,
    names.DRAFTS: names.DRAFT_FILE,
    names.STAGING: STAGED,
    names.QUARANTINE: re.compile(r"\d+"),
}


def refuse_foreign_files(layout: Layout) -> None:
    """Make sure that a new campaign may use a folder; what an interrupted creation left there is its own.

    Raises:
        ConfigError: something of another origin has one of a campaign's names.
    """
    for name, inside in _INSIDE.items():
        path = layout.path(name)
        if path.exists() and not path.is_dir():
            raise _refusal(layout, name)
        for entry in layout.entries(name):
            if not inside.fullmatch(entry):
                raise _refusal(layout, f"{name}/{entry}")
    if _has_content(layout.path(names.INDEX)) and not _is_an_index(layout):
        raise _refusal(layout, names.INDEX)
    if _has_content(layout.path(names.LOCK)) and read_owner(layout.path(names.LOCK)) is None:
        raise _refusal(layout, names.LOCK)


def require_campaign(layout: Layout) -> None:
    """Make sure that a folder is a campaign before anything in it is cleared or made again.

    Raises:
        ConfigError: ``campaign.json`` is none, or a newer version's.
        CorruptRecord: it is damaged or missing, and no index has a copy of it.
    """
    try:
        CampaignManifest.from_document(layout.read(names.MANIFEST))
    except CorruptRecord:
        if not _is_an_index(layout):
            raise


def _has_content(path: Path) -> bool:
    return path.is_dir() or (path.is_file() and path.stat().st_size > 0)


def _is_an_index(layout: Layout) -> bool:
    """Whether the index file has a campaign index's tables."""
    path = layout.path(names.INDEX)
    if not path.is_file():
        return False
    if kept_by_an_older_index(path):
        return True
    try:
        Index(path, layout.disk, writer=False).close()
    except (CacheError, OSError):
        return False
    return True


def _refusal(layout: Layout, name: str) -> ConfigError:
    return ConfigError(
        f'{layout.root} holds "{name}", which no campaign made. Choose an empty folder for the campaign; '
        "nothing was changed."
    )

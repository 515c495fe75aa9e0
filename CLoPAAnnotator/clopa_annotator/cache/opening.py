"""Creating and opening a campaign folder: the lock, the index, and what a killed writer left behind."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from clopa_annotator.cache.drafts import DraftList
from clopa_annotator.cache.foreign import refuse_foreign_files, require_campaign
from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.disk import Disk, explained
from clopa_annotator.cache.format.layout import Layout, utc_now
from clopa_annotator.cache.format.manifest import CampaignManifest
from clopa_annotator.cache.index import BrokenIndex, Index
from clopa_annotator.cache.lock import WriterLock
from clopa_annotator.cache.older_index import kept_by_an_older_index
from clopa_annotator.cache.rebuild import RebuildReport, fill_index
from clopa_annotator.cache.writing import Writer
from clopa_annotator.durable import make_folder
from clopa_annotator.errors import CacheError, ConfigError, CorruptRecord

logger = logging.getLogger(__name__)


@dataclass
class Opened:
    """An open campaign's parts, shared by every view of it; ``lock`` is None for readers."""

    layout: Layout
    index: Index
    manifest: CampaignManifest
    lock: WriterLock | None
    drafts: DraftList = field(init=False)
    changing: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.drafts = DraftList(self.layout)


def create_campaign(folder: Path, manifest: CampaignManifest, disk: Disk) -> Opened:
    """Make a campaign folder and open it for writing.

    Raises:
        ConfigError: the folder holds a campaign already, or files of another origin with a campaign's names.
        ReadOnlyCampaign, StorageFull, CampaignLocked: it cannot be made.
    """
    layout = Layout(folder, disk)
    with explained(f"create the campaign in {folder}"), ExitStack() as cleanup:
        make_folder(layout.path("."))
        if not layout.exists(names.MANIFEST):
            refuse_foreign_files(layout)
        lock = WriterLock(layout.path(names.LOCK), disk)
        cleanup.callback(lock.release)
        if layout.exists(names.MANIFEST):
            raise ConfigError(f"There is a campaign in {folder} already. Open it, or choose another folder.")
        layout.make_folders()
        layout.clear_staging()
        manifest = replace(manifest, created=manifest.created or utc_now())
        index = _writers_index(layout)
        cleanup.callback(index.close)
        write_manifest(layout, index, manifest)
        cleanup.pop_all()
    return Opened(layout, index, manifest, lock)


def write_manifest(layout: Layout, index: Index, manifest: CampaignManifest) -> None:
    """Write ``campaign.json``, with a copy in the index should it ever be damaged."""
    document = manifest.to_document()
    layout.publish_document(names.MANIFEST, document, overwrite=True)
    with index.transaction():
        index.set_meta("manifest", document)


def open_campaign(folder: Path, writer: bool, disk: Disk) -> Opened:
    """Open a campaign folder.

    Raises:
        ConfigError: there is no campaign, or a newer version's.
        CampaignLocked: writing is asked for, and another process writes.
        CorruptRecord: ``campaign.json`` is damaged and there is no copy of it.
        ReadOnlyCampaign: writing is asked for, and the folder cannot be written.
    """
    layout = Layout(folder, disk)
    with explained(f"open the campaign in {folder}"), ExitStack() as cleanup:
        if not (layout.exists(names.MANIFEST) or layout.exists(names.INDEX)):
            raise ConfigError(f'There is no campaign in {folder}. Make one with "clopa campaign create".')
        if not writer:
            index = _readers_index(layout)
            cleanup.callback(index.close)
            manifest = CampaignManifest.from_document(layout.read(names.MANIFEST))
            cleanup.pop_all()
            return Opened(layout, index, manifest, None)
        require_campaign(layout)
        lock = WriterLock(layout.path(names.LOCK), disk)
        cleanup.callback(lock.release)
        layout.make_folders()
        layout.clear_staging()
        index = _writers_index(layout)
        cleanup.callback(index.close)
        manifest = _read_manifest(layout, index)
        Writer(layout, index).recover()
        cleanup.pop_all()
    return Opened(layout, index, manifest, lock)


def _read_manifest(layout: Layout, index: Index) -> CampaignManifest:
    """The manifest; a damaged or missing one is restored from the index's copy."""
    try:
        document = layout.read(names.MANIFEST)
        manifest = CampaignManifest.from_document(document)
    except CorruptRecord as error:
        copy = index.meta("manifest")
        if copy is None:
            raise
        if layout.exists(names.MANIFEST):
            layout.quarantine(names.MANIFEST, str(error))
        logger.warning("campaign.json is restored from the index: %s", error)
        manifest = CampaignManifest.from_document(bytes(copy))
        layout.publish_document(names.MANIFEST, bytes(copy))
    else:
        if index.meta("manifest") != document:
            with index.transaction():
                index.set_meta("manifest", document)
    return manifest


def _writers_index(layout: Layout) -> Index:
    """The index file, made again from the files if it is missing, unfinished or damaged."""
    path = layout.path(names.INDEX)
    try:
        index = Index(path, layout.disk)
        if index.meta("complete"):
            return index
        index.close()
    except BrokenIndex as error:
        logger.log(_level(path), "The index is made again: %s", error)
    return renew_index(layout)[0]


def _level(path: Path) -> int:
    """How loud to be about an index that cannot be used: one of an earlier version is nobody's fault."""
    return logging.INFO if kept_by_an_older_index(path) else logging.WARNING


def renew_index(layout: Layout) -> tuple[Index, RebuildReport]:
    """Remove the index file and make it again; the caller holds the writer's lock and has closed it."""
    path = layout.path(names.INDEX)
    kept = kept_by_an_older_index(path)
    for part in (path, path.with_name(path.name + "-journal")):
        layout.disk.remove(part)
    index = Index(path, layout.disk)
    try:
        with index.transaction():
            for key, value in kept.items():
                index.set_meta(key, value)
        report = fill_index(layout, index)
    except BaseException:
        index.close()
        raise
    return index, report


def _readers_index(layout: Layout) -> Index:
    """The index file for reading; where it cannot be read, one in memory made from the files."""
    path = layout.path(names.INDEX)
    try:
        index = Index(path, layout.disk, writer=False)
        if index.meta("complete"):
            return index
        index.close()
    except (CacheError, OSError) as error:
        logger.log(_level(path), "Reading the campaign without its index: %s", error)
    index = Index(None, layout.disk)
    fill_index(layout, index)
    return index

"""The files against the index: what the index knows and no file shows is missing."""

from __future__ import annotations

from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.images import image_path
from clopa_annotator.cache.format.layout import Layout
from clopa_annotator.cache.format.manifest import CampaignManifest
from clopa_annotator.cache.index import Index
from clopa_annotator.cache.rebuild import fill_index
from clopa_annotator.cache.verify import Inspection, VerifyReport
from clopa_annotator.errors import CacheError, ClopaError
from clopa_annotator.types import Targets

_TABLES = (
    "SELECT * FROM cases ORDER BY case_id",
    "SELECT * FROM slots ORDER BY case_id, target, instance",
    "SELECT * FROM versions ORDER BY sequence",
    "SELECT * FROM images ORDER BY image_hash",
)


def _content(index: Index) -> list[list[tuple[object, ...]]] | None:
    """Everything in the index's tables; None if the file is damaged."""
    try:
        return [[tuple(row) for row in index.rows(query)] for query in _TABLES] if index.is_sound() else None
    except CacheError:
        return None


def check_campaign(layout: Layout, index: Index, repair: bool) -> VerifyReport:
    """Check a whole campaign.

    Args:
        layout: its folder.
        index: its index; filled again from the files if ``repair``.
        repair: move what is damaged to quarantine; needs the writer's lock.
    """
    inspection = Inspection(layout, repair)
    inspection.targets = _check_manifest(layout, inspection)
    before = _content(index)
    if before is None:
        inspection.add(names.INDEX, "index.sqlite is damaged; it is made again from the files.", move=False)
    else:
        _name_missing(layout, index, inspection)
    inspection.run()
    if repair and before is not None:
        moved_or_missing = bool(inspection.findings)
        fill_index(layout, index)
        if not moved_or_missing and _content(index) != before:
            inspection.add(
                names.INDEX, "index.sqlite did not agree with the files; it was made again.", move=False
            )
    return inspection.report()


def _check_manifest(layout: Layout, inspection: Inspection) -> Targets | None:
    """The targets that campaign.json names; None if it cannot be read."""
    try:
        return CampaignManifest.from_document(layout.read(names.MANIFEST)).targets
    except ClopaError as error:
        inspection.add(names.MANIFEST, str(error))
        return None


def _name_missing(layout: Layout, index: Index, inspection: Inspection) -> None:
    """Folders that the index knows and that are not there."""
    for row in index.rows("SELECT case_id, folder FROM cases ORDER BY number"):
        relative = f"{names.CASES}/{row['folder']}"
        if not layout.exists(relative):
            inspection.add(relative, f"The case {row['case_id']!r} is missing from the campaign.")
    for row in index.rows("SELECT case_id, case_version, folder FROM versions ORDER BY sequence"):
        if not layout.exists(row["folder"]):
            what = f"Version {row['case_version']} of case {row['case_id']!r}"
            inspection.add(row["folder"], f"{what} is missing from the campaign.")
    for row in index.rows("SELECT image_hash FROM images ORDER BY image_hash"):
        relative = image_path(row["image_hash"])
        if not layout.exists(relative):
            inspection.add(relative, f"{relative} is missing from the campaign.")

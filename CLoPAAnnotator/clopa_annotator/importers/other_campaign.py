"""Another campaign: what was confirmed there, with its images and annotators."""

from __future__ import annotations

import hashlib
from pathlib import Path

from clopa_annotator.cache.campaign_store import CampaignStore, VersionSummary
from clopa_annotator.cache.format.names import MANIFEST
from clopa_annotator.datasets.dicom_series import place_of
from clopa_annotator.importers.label_files import Content, Found, LabelFile, Segment
from clopa_annotator.types import CaseRef, Image, Mask, Targets

FORMAT = "campaign"


def is_campaign(folder: Path) -> bool:
    """Whether a folder is a campaign."""
    return (folder / MANIFEST).is_file()


def find(folder: Path) -> Found:
    """The current versions of every confirmed case, each target a segment of its name."""
    cases: dict[str, list[VersionSummary]] = {}
    with CampaignStore.open(folder) as store:
        targets = store.targets
        for target in targets:
            for version in store.confirmed_versions(target.key):
                cases.setdefault(version.ref.case_id, []).append(version)
        sources = {case.case_id: case.source for case in store.cases()}
    arrived = sorted(cases.items(), key=lambda item: min(v.ref.sequence for v in item[1]))
    return Found(
        FORMAT, tuple(_label(folder, versions, targets, sources[name]) for name, versions in arrived)
    )


def _label(folder: Path, versions: list[VersionSummary], targets: Targets, source: str) -> LabelFile:
    first = versions[0].ref

    def image() -> Image:
        with CampaignStore.open(folder) as store:
            return store.read_image(first.image_hash)

    def segment(ref: CaseRef) -> Segment:
        def mask() -> Mask:
            with CampaignStore.open(folder) as store:
                return store.read_mask(ref)

        return Segment(targets.name_of(ref.slot), 1 if len(targets) == 1 else None, mask)

    segments = tuple(segment(version.ref) for version in versions)

    def read() -> Content:
        with CampaignStore.open(folder) as store:
            return Content(store.geometry(first.image_hash), segments)

    def digest(wanted: tuple[str, ...]) -> str:
        """The record's hash; of several records, over the lines ``<hash>  <segment>``."""
        pairs = list(zip(versions, segments, strict=True))
        some = [(v, s) for v, s in pairs if any(s.is_called(w) for w in wanted)] or pairs
        if len(some) == 1:
            return some[0][0].ref.record_hash
        lines = "".join(f"{v.ref.record_hash}  {s.name}\n" for v, s in some)
        return hashlib.sha256(lines.encode()).hexdigest()

    authors = list(dict.fromkeys(v.annotator for v in versions))
    return LabelFile(
        first.case_id,
        folder / first.folder,
        FORMAT,
        read,
        digest,
        image,
        _still_there(source) or str(folder),
        ", ".join(authors),
    )


def _still_there(source: str) -> str:
    """Where the other campaign had the image from, if it still is there: it can be opened from there."""
    place = place_of(source)[0]
    return source if place and Path(place).exists() else ""

"""Another campaign: what was confirmed there, with its images and annotators."""

from __future__ import annotations

from pathlib import Path

from clopa_annotator.cache.campaign_store import CampaignStore, VersionSummary
from clopa_annotator.cache.format.names import MANIFEST
from clopa_annotator.datasets.dicom_series import place_of
from clopa_annotator.importers.label_files import Content, Found, LabelFile, Segment
from clopa_annotator.types import Image, Mask

FORMAT = "campaign"


def is_campaign(folder: Path) -> bool:
    """Whether a folder is a campaign."""
    return (folder / MANIFEST).is_file()


def find(folder: Path) -> Found:
    """The current version of every confirmed case."""
    with CampaignStore.open(folder) as store:
        name = store.manifest.label
        versions = store.confirmed_versions()
        sources = {case.case_id: case.source for case in store.cases()}
    return Found(FORMAT, tuple(_label(folder, v, name, sources[v.ref.case_id]) for v in versions))


def _label(folder: Path, version: VersionSummary, name: str, source: str) -> LabelFile:
    ref = version.ref

    def image() -> Image:
        with CampaignStore.open(folder) as store:
            return store.read_image(ref.image_hash)

    def mask() -> Mask:
        with CampaignStore.open(folder) as store:
            return store.read_mask(ref)

    def read() -> Content:
        with CampaignStore.open(folder) as store:
            return Content(store.geometry(ref.image_hash), (Segment(name, 1, mask),))

    return LabelFile(
        ref.case_id,
        folder / ref.folder,
        FORMAT,
        read,
        lambda _: ref.record_hash,
        image,
        _still_there(source) or str(folder),
        version.annotator,
    )


def _still_there(source: str) -> str:
    """Where the other campaign had the image from, if it still is there: it can be opened from there."""
    place = place_of(source)[0]
    return source if place and Path(place).exists() else ""

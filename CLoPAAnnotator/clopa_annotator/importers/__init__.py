"""Labels that exist already, into a campaign: from files of other programs, or from another campaign.

One module per source format finds the labels (`LabelFile`) without reading voxels; `detect` says which format
a path has; `run` matches them with the campaign's cases, compares patient and grid, and hands them to a
`Desk`: the campaign's folder, or an engine that holds it. Neither torch nor Qt is needed here.
"""

from __future__ import annotations

from clopa_annotator.importers.desk import Desk, KnownCase, StoreDesk
from clopa_annotator.importers.detect import FORMATS, find_labels
from clopa_annotator.importers.found import Found, LabelFile
from clopa_annotator.importers.order import ImportOrder, ImportReport, Outcome, images_in
from clopa_annotator.importers.run import run_import
from clopa_annotator.importers.target import Target

__all__ = [
    "FORMATS",
    "Desk",
    "Found",
    "ImportOrder",
    "ImportReport",
    "KnownCase",
    "LabelFile",
    "Outcome",
    "StoreDesk",
    "Target",
    "find_labels",
    "images_in",
    "run_import",
]

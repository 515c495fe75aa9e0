"""Labels that exist already, into a campaign: from files of other programs, or from another campaign.

One module per source format finds the labels (`LabelFile`) without reading voxels; `detect` says which format
a path has; `import_run` matches them with the cases, compares patient and grid, and hands them to a
`LabelReceiver`: the campaign's folder, or an engine that holds it. Neither torch nor Qt is needed here.
"""

from __future__ import annotations

from clopa_annotator.importers.detect import FORMATS, find_labels
from clopa_annotator.importers.import_run import images_in, run_import
from clopa_annotator.importers.label_files import Found, LabelFile
from clopa_annotator.importers.receiver import KnownCase, LabelReceiver, StoreReceiver
from clopa_annotator.importers.target_choice import Target

__all__ = [
    "FORMATS",
    "Found",
    "KnownCase",
    "LabelFile",
    "LabelReceiver",
    "StoreReceiver",
    "Target",
    "find_labels",
    "images_in",
    "run_import",
]

"""Which models there are and where they lie: the bundled one, the official one, a folder of one's own.

Free of torch: the list is shown where the network is not.
"""

from __future__ import annotations

from clopa_annotator.models.catalogue import (
    BUNDLED,
    OFFICIAL,
    ModelEntry,
    ModelStatus,
    bundled_model_folder,
    list_models,
    model_root,
    resolve,
)
from clopa_annotator.models.download import download, verify

__all__ = [
    "BUNDLED",
    "OFFICIAL",
    "ModelEntry",
    "ModelStatus",
    "bundled_model_folder",
    "download",
    "list_models",
    "model_root",
    "resolve",
    "verify",
]

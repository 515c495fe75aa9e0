"""CLoPA Annotator's core: segmentation that learns while a clinician annotates.

The core never imports Slicer, Qt or VTK. The stages, in the order in which an annotation travels::

    session -> cache -> scheduler -> episode -> registry -> swap -> session

Each stage imports the shared modules (``types``, ``errors``, ``geometry``, ``events``) and at most the
type that the stage before it produces; ``pipeline`` composes them.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"

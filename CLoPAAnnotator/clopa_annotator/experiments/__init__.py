"""A simulated annotator in a whole campaign, measured: `clopa simulate` and `clopa evaluate`."""

from __future__ import annotations

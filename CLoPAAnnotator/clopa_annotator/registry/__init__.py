"""Weights versions: base plus delta, with lineage, a gate and rollback."""

from __future__ import annotations

"""Measuring what learning brings: simulated annotators, metrics, protocol, statistics and reports."""

from __future__ import annotations

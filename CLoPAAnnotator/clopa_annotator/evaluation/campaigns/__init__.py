"""Whole campaigns: what the order of cases brings, and the report on one in which people annotate."""

from __future__ import annotations

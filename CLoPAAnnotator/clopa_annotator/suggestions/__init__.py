"""Masks before the first click: how sure they are, how good they will turn out, where they are kept."""

from __future__ import annotations

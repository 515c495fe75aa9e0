"""The process that owns a campaign: cases, sessions, live weights, episodes, composed."""

from __future__ import annotations

"""Sessions: prompts in, proposals out."""

from __future__ import annotations

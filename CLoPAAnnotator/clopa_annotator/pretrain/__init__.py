"""The base model: trained from scratch, on generated volumes only, by the loop that episodes use."""

from __future__ import annotations

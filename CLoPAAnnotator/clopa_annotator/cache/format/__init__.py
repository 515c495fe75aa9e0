"""The campaign folder's files: what each holds, and how it is written so that it is whole."""

from __future__ import annotations

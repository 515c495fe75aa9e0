"""The way to an engine: asynchronous, patient, free of torch and Qt."""

from __future__ import annotations

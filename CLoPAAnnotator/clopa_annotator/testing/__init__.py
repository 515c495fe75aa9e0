"""Public stand-ins: an engine, a session and a model for tests and for trying things out. Importing it loads no torch."""

from __future__ import annotations

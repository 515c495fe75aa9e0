"""What an engine does while nobody clicks and nothing trains: it looks ahead at the coming cases."""

from __future__ import annotations

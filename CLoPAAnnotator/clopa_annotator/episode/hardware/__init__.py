"""What an episode takes of a machine: memory planned from sizes, precision, layout, work on the device."""

from __future__ import annotations

"""The commands of ``clopa``, one module per group; ``cli`` puts them together.

Commands import what they need when they run, so that ``clopa --help`` answers at once.
"""

from __future__ import annotations

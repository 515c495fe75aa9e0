"""HTTP in front of a campaign: nnInteractive's own server, our routes beside it, one guard around both."""

from __future__ import annotations

"""The training process and who watches over it: an episode as a job folder."""

from __future__ import annotations

"""An episode: confirmed cases in, a candidate weights delta out.

`loop.run_window` is the one interaction-training step that episodes and the pretraining of the base model
share; it stands on `prompting` (who clicks where), `encoding` (what the network sees) and `loss`.
"""

from __future__ import annotations

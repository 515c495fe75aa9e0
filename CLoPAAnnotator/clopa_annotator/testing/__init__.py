"""Public stand-ins: an engine, a session and a model, for tests and for trying things out.

Importing the package and its fakes loads no torch; ``random_model`` writes a network and does.
"""

from __future__ import annotations

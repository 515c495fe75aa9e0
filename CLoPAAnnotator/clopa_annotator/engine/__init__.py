"""The process that owns a campaign, and the way to it.

Nothing is imported here: the client side (`protocol`, `calls`, `client`, `fake`) stays free of torch and of
the server's packages.
"""

from __future__ import annotations

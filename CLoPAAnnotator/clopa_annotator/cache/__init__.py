"""The annotation cache: from a confirmation to files that stay. `store` is the way in.

Nothing here needs torch.
"""

from __future__ import annotations

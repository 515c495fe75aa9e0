"""What client and engine say to each other: messages, codec, array framing, faults, tokens. Free of torch."""

from __future__ import annotations

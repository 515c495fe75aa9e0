"""What client and engine say to each other, as bytes: messages, codec, array framing, faults, tokens. Free of torch."""

from __future__ import annotations

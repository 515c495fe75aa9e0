"""What a device cannot compute, in words: on Apple's GPUs PyTorch lacks some 3D operators."""

from __future__ import annotations

import re

import torch

_OPERATOR = re.compile(r"operator '(?:aten::)?([\w.]+)'")


def missing_on_apple(error: BaseException) -> str | None:
    """A sentence if an error says that Apple's GPU, or PyTorch on it, cannot compute something; else None.

    PyTorch raises NotImplementedError for an operator that it has not, RuntimeError for a form of one, and
    TypeError for float64.
    """
    text = str(error)
    if "MPS" not in text or not isinstance(error, NotImplementedError | RuntimeError | TypeError):
        return None
    if isinstance(error, torch.OutOfMemoryError) or "out of memory" in text:
        return None
    found = _OPERATOR.search(text)
    what = f'"{found.group(1)}"' if found else "an operation of this network"
    return (
        f"PyTorch {torch.__version__} cannot compute {what} on an Apple GPU. Update PyTorch, or start with"
        " --device cpu."
    )

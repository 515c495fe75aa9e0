"""A weights delta as a file: safetensors with the absolute values of the tensors that differ from the base.

Episodes and online updates write deltas, the registry keeps them. The file says by itself which base it
belongs to and under which licence it stands; ``docs/formats/weights.md`` is the specification. Base plus
delta is a copy, not a sum, so a delta does not depend on its parent's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from clopa_annotator.errors import DeltaMismatch

FORMAT = "clopa-delta/1"
LARGEST_BYTES = 8 << 30
_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}


@dataclass(frozen=True)
class DeltaInfo:
    """Where a delta comes from; stored as strings in the file's metadata.

    Attributes:
        model_hash: SHA-256 of the base weights.
        licence: first line of the base's licence, inherited.
        parameter_group: name of the tuned group.
        parent_version: weights version that the tuning started from.
        episode: number of the episode; 0 for an online update or an import.
        seed: seed of the random choices.
        code_version: version of this package.
    """

    model_hash: str
    licence: str
    parameter_group: str = ""
    parent_version: int = 0
    episode: int = 0
    seed: int = 0
    code_version: str = ""


def changed(values: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that differ from the base in at least one bit, as float32 copies on the CPU."""
    cpu = {name: value.detach().to("cpu", torch.float32, copy=True) for name, value in values.items()}
    return {name: value for name, value in cpu.items() if not torch.equal(value, base[name].float().cpu())}


def pack_delta(tensors: Mapping[str, Tensor], info: DeltaInfo, dtype: torch.dtype | None = None) -> bytes:
    """The file's content; equal tensors and info give equal bytes.

    Args:
        tensors: by name in ``named_parameters()``.
        info: written into the metadata.
        dtype: type to store; tensors that it cannot hold (fp16 ends at 65,504) keep theirs.
    """
    header: dict[str, Any] = {
        "__metadata__": {"format": FORMAT} | {k: str(v) for k, v in asdict(info).items()}
    }
    parts: list[bytes] = []
    offset = 0
    for name in sorted(tensors):
        tensor = _narrow(tensors[name].detach().cpu().contiguous(), dtype)
        parts.append(tensor.flatten().view(torch.uint8).numpy().tobytes())
        end = offset + len(parts[-1])
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    # Not safetensors' own writer: its metadata come in another order each time.
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def unpack_delta(data: bytes) -> tuple[DeltaInfo, dict[str, Tensor]]:
    """Read a delta.

    Raises:
        DeltaMismatch: not a delta of this format, damaged, or with values that are not finite numbers.
    """
    if len(data) > LARGEST_BYTES:
        raise DeltaMismatch(f"The weights file has {len(data) >> 20} MB, more than a delta can have.")
    info = read_info(data)
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise DeltaMismatch("The weights file is damaged; use another version or get it again.") from error
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise DeltaMismatch(f"The weights file is unusable: {name} holds more than finite numbers.")
    return info, tensors


def read_info(data: bytes) -> DeltaInfo:
    """The metadata of a delta, without reading its tensors.

    Raises:
        DeltaMismatch: not a delta of this format.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length])["__metadata__"]
        if metadata["format"] != FORMAT:
            raise DeltaMismatch(
                f"The weights have the format {metadata['format']}; this version reads {FORMAT}."
            )
        numbers = {"parent_version", "episode", "seed"}
        values: dict[str, Any] = {f.name: metadata[f.name] for f in fields(DeltaInfo)}
        return DeltaInfo(**values | {k: int(values[k]) for k in numbers})
    except (ValueError, KeyError, TypeError) as error:
        raise DeltaMismatch("The file is no weights delta of this program, or it is damaged.") from error


def _narrow(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    if dtype is None:
        return tensor
    narrow = tensor.to(dtype)
    return narrow if bool(torch.isfinite(narrow).all()) else tensor

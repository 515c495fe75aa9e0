"""A folder of experts: one delta each, what it was made for, and the router's statistics.

::

    library/
        library.json                the base model that all experts belong to
        router.safetensors          ridge statistics of all experts (float64)
        experts/<id>/expert.json    name, description, licence, hash of the delta
        experts/<id>/delta.safetensors

An expert is base plus delta, the base is immutable and an expert's folder is never written again, so nothing
that happens to one expert can change another one's answers. Names are people's and may be any text; ids are
made from them and are safe as folder names on every system.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from clopa_annotator.durable import write_bytes, write_folder
from clopa_annotator.errors import ConfigError, CorruptRecord, DeltaMismatch, UnknownVersion
from clopa_annotator.experts.expert_settings import RouterSettings
from clopa_annotator.experts.ridge import RidgeClassifier
from clopa_annotator.experts.router import Router

FORMAT = 1


@dataclass(frozen=True)
class Expert:
    """One entry of the library.

    Attributes:
        expert_id: folder name; also the class name in the router.
        name: for people.
        description: what it segments on which images.
        model_hash: SHA-256 of the base weights that the delta belongs to.
        licence: first line of the base's licence, inherited.
        delta_hash: SHA-256 of the delta file.
        origin: campaign and weights version that it came from.
    """

    expert_id: str
    name: str
    description: str
    model_hash: str
    licence: str
    delta_hash: str
    origin: str = ""


class ExpertLibrary:
    """Experts for one base model, in a folder."""

    def __init__(self, folder: Path, model_hash: str) -> None:
        self._folder = folder
        self.model_hash = model_hash

    @classmethod
    def create(cls, folder: Path, model_hash: str) -> ExpertLibrary:
        """Start an empty library.

        Raises:
            ConfigError: the folder holds one already.
        """
        if (folder / "library.json").exists():
            raise ConfigError(f"{folder} holds an expert library already; open it instead.")
        (folder / "experts").mkdir(parents=True, exist_ok=True)
        content = {"format": FORMAT, "model_hash": model_hash}
        write_bytes(folder / "library.json", json.dumps(content, indent=1).encode())
        return cls(folder, model_hash)

    @classmethod
    def open(cls, folder: Path) -> ExpertLibrary:
        """Open an existing library.

        Raises:
            CorruptRecord: the folder holds none, or one of a newer format.
        """
        content = _read_json(folder / "library.json")
        if content.get("format") != FORMAT:
            raise CorruptRecord(f"The expert library in {folder} is of another format; update this program.")
        return cls(folder, str(content.get("model_hash", "")))

    def experts(self) -> tuple[Expert, ...]:
        """All experts, by id.

        Raises:
            CorruptRecord: an entry cannot be read.
        """
        folders = sorted(p for p in (self._folder / "experts").iterdir() if not p.name.startswith("."))
        return tuple(_read_expert(p) for p in folders)

    def add(
        self,
        name: str,
        delta: Mapping[str, torch.Tensor],
        *,
        licence: str,
        description: str = "",
        origin: str = "",
    ) -> Expert:
        """Add an expert; the others' files are not touched.

        Args:
            name: for people, not empty.
            delta: absolute values of the tensors that differ from the base.
            licence: first line of the base's licence.
            description: what it segments on which images.
            origin: where it came from.

        Raises:
            ConfigError: no name, or an empty delta.
            DeltaMismatch: a value is not finite.
        """
        if not name.strip() or not delta:
            raise ConfigError("An expert needs a name and weights that differ from the base.")
        broken = [n for n, t in delta.items() if not bool(torch.isfinite(t).all())]
        if broken:
            raise DeltaMismatch(f"The weights of {broken[0]} are not finite; the expert was not added.")
        data = save_tensors({n: t.detach().cpu().contiguous() for n, t in delta.items()})
        expert = Expert(
            self._new_id(name),
            name.strip(),
            description,
            self.model_hash,
            licence,
            hashlib.sha256(data).hexdigest(),
            origin,
        )
        text = json.dumps(asdict(expert), indent=1, ensure_ascii=False)
        files = {"delta.safetensors": data, "expert.json": text.encode("utf-8")}
        write_folder(self._folder / "experts" / expert.expert_id, files)
        return expert

    def delta(self, expert_id: str) -> dict[str, torch.Tensor]:
        """An expert's tensors, checked against their hash.

        Raises:
            UnknownVersion: there is no such expert.
            CorruptRecord: the file is not what was written.
        """
        folder = self._folder / "experts" / expert_id
        if expert_id not in {e.expert_id for e in self.experts()}:
            raise UnknownVersion(f'The library has no expert "{expert_id}".')
        data = (folder / "delta.safetensors").read_bytes()
        if hashlib.sha256(data).hexdigest() != _read_expert(folder).delta_hash:
            raise CorruptRecord(f'The weights of expert "{expert_id}" are damaged; add the expert again.')
        return dict(load_tensors(data))

    def router(self, dimension: int, settings: RouterSettings | None = None) -> Router:
        """The router with what it has learned so far.

        Args:
            dimension: number of image features.
            settings: when an expert is proposed.

        Raises:
            CorruptRecord: the statistics are damaged, or of another number of features.
        """
        path = self._folder / "router.safetensors"
        if not path.exists():
            return Router(RidgeClassifier(dimension), settings)
        try:
            ridge = RidgeClassifier.from_arrays(load_arrays(path.read_bytes()))
        except SafetensorError as error:
            raise CorruptRecord("The router's statistics are damaged; let it learn again.") from error
        if ridge.dimension != dimension:
            raise CorruptRecord(
                f"The router learned from {ridge.dimension} features, but the model gives {dimension}."
            )
        return Router(ridge, settings)

    def save_router(self, router: Router) -> None:
        """Keep what the router has learned."""
        write_bytes(self._folder / "router.safetensors", save_arrays(router.ridge.to_arrays()))

    def _new_id(self, name: str) -> str:
        stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "expert"
        taken = {p.name for p in (self._folder / "experts").iterdir()}
        return next(n for n in (f"{stem}-{i:02d}" for i in range(1, 10_000)) if n not in taken)


def _read_expert(folder: Path) -> Expert:
    content = _read_json(folder / "expert.json")
    try:
        return Expert(**{str(k): str(v) for k, v in content.items()})
    except TypeError as error:
        raise CorruptRecord(f"{folder / 'expert.json'} does not describe an expert.") from error


def _read_json(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorruptRecord(f"{path} cannot be read; restore the library from a copy.") from error
    if not isinstance(content, dict):
        raise CorruptRecord(f"{path} cannot be read; restore the library from a copy.")
    return content

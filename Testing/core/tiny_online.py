"""A network of two convolutions and a session around it, for the tests of learning between clicks."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from clopa_annotator.episode.prompt_canvas import EncodingRules
from clopa_annotator.errors import NoImage, NothingToUndo, PredictionFailed
from clopa_annotator.geometry import Geometry
from clopa_annotator.online.adapting_session import AdaptingSession
from clopa_annotator.online.inputs import CanvasEncoder, centre_of, paste
from clopa_annotator.online.oaims import Oaims
from clopa_annotator.online.online_settings import OaimsSettings, StepSettings
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.types import Image, Mask, Prompt, PromptKind, Proposal

SIDE = 16
FAST = StepSettings(learning_rate=1e-2, autocast=False)


@dataclass
class TinyModel:
    """A network with what `AdaptableModel` asks for."""

    network: nn.Module
    lock: threading.RLock = field(default_factory=threading.RLock)  # type: ignore[valid-type]
    version: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


def a_model(seed: int = 0) -> TinyModel:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv3d(8, 4, 3, padding=1), nn.InstanceNorm3d(4, affine=True), nn.LeakyReLU(), nn.Conv3d(4, 2, 1)
    )
    return TinyModel(network.eval())


def a_case() -> tuple[Image, Mask]:
    """A bright 6^3 cube in noise."""
    rng = np.random.default_rng(0)
    mask = np.zeros((SIDE, SIDE, SIDE), np.uint8)
    mask[5:11, 5:11, 5:11] = 1
    voxels = (rng.normal(10, 1, mask.shape) + 5 * mask).astype(np.float32)
    return Image(voxels, Geometry(mask.shape)), mask


def an_encoder() -> CanvasEncoder:
    return CanvasEncoder(EncodingRules((SIDE, SIDE, SIDE), 0.98, 2))


def values(model: TinyModel | LoadedModel) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.network.parameters()]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


class TinySession:
    """A session without nnInteractive: one patch, masks of whole states for undo; enough for the wrapper."""

    def __init__(self, model: TinyModel) -> None:
        self.model, self.encoder = model, an_encoder()
        self.fail_next = False
        self._states: list[tuple[tuple[Prompt, ...], Proposal]] = []
        self._undone: list[tuple[tuple[Prompt, ...], Proposal]] = []

    supported = frozenset({PromptKind.POINT})
    licence = "none"

    @property
    def weights_version(self) -> int:
        return self.model.version

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        return self._states[-1][0] if self._states else ()

    @property
    def proposal(self) -> Proposal:
        if not self._states:
            raise NoImage("none")
        return self._states[-1][1]

    @property
    def can_undo(self) -> bool:
        return len(self._states) > 1

    @property
    def can_redo(self) -> bool:
        return bool(self._undone)

    def set_image(self, image: Image) -> None:
        self.encoder.set_image(image.voxels)
        empty = np.zeros(image.geometry.shape_kji, np.uint8)
        self._states, self._undone = [((), Proposal(empty, None, self.model.version, 0))], []

    def add_prompt(self, prompt: Prompt) -> Proposal:
        return self.add_prompts((prompt,))

    def add_prompts(self, prompts: Sequence[Prompt]) -> Proposal:
        older, proposal = self._states[-1]
        if self.fail_next:
            raise PredictionFailed("asked to fail")
        given = (*older, *prompts)
        center = centre_of(prompts[-1])
        assert center is not None
        with self.model.lock, torch.inference_mode():
            logits = self.model.network(self.encoder.encode(given, proposal.mask, center)[None])[0]
        patch = (logits[1] > logits[0]).to(torch.uint8).numpy()
        mask = paste(patch, proposal.mask, center)
        self._undone = []
        self._states.append((given, Proposal(mask, None, self.model.version, len(self._states))))
        return self.proposal

    def undo(self) -> Proposal:
        if not self.can_undo:
            raise NothingToUndo("none")
        self._undone.append(self._states.pop())
        return self.proposal

    def redo(self) -> Proposal:
        self._states.append(self._undone.pop())
        return self.proposal

    def reset(self) -> Proposal:
        empty = np.zeros_like(self.proposal.mask)
        self._states.append(((), Proposal(empty, None, self.model.version, len(self._states))))
        return self.proposal

    def close(self) -> None:
        self._states = []


def an_adapting_session(settings: OaimsSettings) -> tuple[TinyModel, AdaptingSession, Oaims]:
    model = a_model()
    strategy = Oaims(model, an_encoder(), settings)
    return model, AdaptingSession(TinySession(model), strategy), strategy


BOTH = OaimsSettings(group="all", post_step=FAST, mid_step=FAST)

"""The values that travel between stages: frozen, without behaviour beyond checking themselves.

Arrays are (k, j, i). Masks are ``uint8`` with values 0 and 1. Times named ``_s`` are seconds; instants are
ISO 8601 strings in UTC and serve people only: order is decided by sequence numbers, never by a clock.
"""

from __future__ import annotations

from clopa_annotator.types.annotation import (
    CaseRef,
    CaseState,
    Confirmation,
    Event,
    EventValue,
    Image,
    Imported,
    Proposal,
    sum_of_states,
)
from clopa_annotator.types.learning import (
    EpisodeRequest,
    EpisodeResult,
    EpisodeStatus,
    GateDecision,
    PairedCurves,
    Split,
    Standing,
    WeightsVersion,
)
from clopa_annotator.types.prompts import (
    BoxPrompt,
    LassoPrompt,
    Mask,
    MaskPrompt,
    PointPrompt,
    Prompt,
    PromptKind,
    ScribblePrompt,
    TimedPrompt,
)
from clopa_annotator.types.suggestion import (
    Expectation,
    Outcome,
    Subject,
    Suggestion,
    SuggestionHead,
    SuggestionUse,
    WholeImageAnswer,
)
from clopa_annotator.types.targets import CodedTerm, Slot, Target, Targets

__all__ = [
    "BoxPrompt",
    "CaseRef",
    "CaseState",
    "CodedTerm",
    "Confirmation",
    "EpisodeRequest",
    "EpisodeResult",
    "EpisodeStatus",
    "Event",
    "EventValue",
    "Expectation",
    "GateDecision",
    "Image",
    "Imported",
    "LassoPrompt",
    "Mask",
    "MaskPrompt",
    "Outcome",
    "PairedCurves",
    "PointPrompt",
    "Prompt",
    "PromptKind",
    "Proposal",
    "ScribblePrompt",
    "Slot",
    "Split",
    "Standing",
    "Subject",
    "Suggestion",
    "SuggestionHead",
    "SuggestionUse",
    "Target",
    "Targets",
    "TimedPrompt",
    "WeightsVersion",
    "WholeImageAnswer",
    "sum_of_states",
]

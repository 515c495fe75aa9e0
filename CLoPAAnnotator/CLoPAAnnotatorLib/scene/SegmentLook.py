"""How a slot's segment looks and what it is called: name, colour, coded term, how strongly it is drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import slicer

from clopa_annotator.types import CodedTerm, Slot, Target
from clopa_annotator.types.targets import COLOURS, FIRST

PROPOSAL_ID = "CLoPA_Proposal"
PROPOSAL_COLOUR = (0.25, 0.75, 0.95)
SUGGESTED, SUGGESTED_FILL = (0.62, 0.3, 0.95), 0.4
"""What nobody has decided about: another colour than any proposal of the only target."""
OTHER_FILL, CONFIRMED_FILL, OTHER_OUTLINE = 0.2, 0.06, 0.55
"""Beside the chosen target: work that is not decided is a faint area, what is confirmed is an outline."""
ANATOMY = CodedTerm("SCT", "123037004", "Anatomical Structure")
CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
REGIONS = "Anatomic codes - DICOM master list"


@dataclass(frozen=True)
class SegmentLook:
    """What a segment is drawn and stored with.

    Attributes:
        name: shown in Slicer's lists, stored with the segment.
        colour: red, green, blue, 0 to 1.
        terminology: Slicer's text for a coded term; empty if there is none.
        fill: how much of the image the area covers, 0 to 1.
        outline: how strong its edge is, 0 to 1.
        isSuggestion: whether nobody has decided about it: then its fill is its own.
    """

    name: str
    colour: tuple[float, float, float] = PROPOSAL_COLOUR
    terminology: str = ""
    fill: float = 0.45
    outline: float = 1.0
    isSuggestion: bool = False

    def suggested(self, name: str) -> SegmentLook:
        """The same as a suggestion: violet, and called so."""
        return replace(self, name=name, colour=SUGGESTED, fill=SUGGESTED_FILL, isSuggestion=True)

    def beside(self, *, isConfirmed: bool) -> SegmentLook:
        """The same while another slot is chosen."""
        if isConfirmed:
            return replace(self, fill=CONFIRMED_FILL, outline=1.0)
        return replace(self, fill=OTHER_FILL, outline=OTHER_OUTLINE)


def segmentId(slot: Slot) -> str:
    """The segment of a slot; a campaign with one target has the one that it always had."""
    if slot == FIRST:
        return PROPOSAL_ID
    return f"{PROPOSAL_ID}_{slot.target}" + (f"_{slot.instance}" if slot.instance > 1 else "")


def colourOf(target: Target, instance: int = 1, *, isOnly: bool = False) -> tuple[float, float, float]:
    """A target's colour, 0 to 1; instances of a kind are a little lighter or darker than each other.

    The only target of a campaign is blue as long as nobody chose a colour.
    """
    if isOnly and target.colour == COLOURS[0]:
        return PROPOSAL_COLOUR
    step = (instance - 1) % 4
    towards, share = (1.0, 0.22 * step) if instance % 2 else (0.0, 0.16 * step)
    red, green, blue = (c / 255 + (towards - c / 255) * share for c in target.colour)
    return (red, green, blue)


def terminologyOf(target: Target) -> str:
    """Slicer's text for a target's coded term; empty if it has none."""
    if target.code is None:
        return ""

    def coded(term: CodedTerm) -> str:
        return f"{term.scheme}^{term.value}^{term.meaning}"

    category = coded(target.category or ANATOMY)
    return f"{CONTEXT}~{category}~{coded(target.code)}~^^~{REGIONS}~^^~^^"


def apply(look: SegmentLook, node: Any, segmentId: str) -> None:
    """Give a segment its look; what it has already is left alone, as each change is drawn anew."""
    segment, display = node.GetSegmentation().GetSegment(segmentId), node.GetDisplayNode()
    if segment is None:
        return
    if segment.GetName() != look.name:
        segment.SetName(look.name)
    if any(abs(a - b) > 1e-6 for a, b in zip(segment.GetColor(), look.colour, strict=True)):
        segment.SetColor(*look.colour)
    if look.terminology:
        segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), look.terminology)
    if display is None:
        return
    if abs(display.GetSegmentOpacity2DFill(segmentId) - look.fill) > 1e-6:
        display.SetSegmentOpacity2DFill(segmentId, look.fill)
    if abs(display.GetSegmentOpacity2DOutline(segmentId) - look.outline) > 1e-6:
        display.SetSegmentOpacity2DOutline(segmentId, look.outline)

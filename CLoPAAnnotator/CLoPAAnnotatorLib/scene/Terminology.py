"""Coded terms as people type and read them, and how Slicer's own terminology finds one by its name."""

from __future__ import annotations

from typing import Any

import slicer

from clopa_annotator.errors import ConfigError
from clopa_annotator.types import CodedTerm
from CLoPAAnnotatorLib.scene.SegmentLook import CONTEXT
from CLoPAAnnotatorLib.Texts import tr


def readTerm(text: str) -> CodedTerm | None:
    """The coded term in "SCT:10200004:Liver"; None for an empty text.

    Raises:
        ConfigError: it is not of this form.
    """
    if not text.strip():
        return None
    parts = [part.strip() for part in text.split(":", 2)]
    if len(parts) != 3 or not all(parts):
        raise ConfigError(
            tr("A coded term is a scheme, a code and a meaning with colons between them, for instance "
               "SCT:10200004:Liver; {text} is not.").format(text=text.strip())
        )  # fmt: skip
    return CodedTerm(*parts)


def termText(term: CodedTerm | None) -> str:
    """What `readTerm` reads."""
    return "" if term is None else f"{term.scheme}:{term.value}:{term.meaning}"


def findTerm(name: str) -> tuple[CodedTerm, CodedTerm] | None:
    """Category and type that Slicer's terminology calls by this name; None if it has none."""
    module = getattr(slicer.modules, "terminologies", None)
    logic = module.logic() if module is not None else None
    if logic is None or not hasattr(logic, "GetNthTypeInTerminologyCategory"):
        return None
    category, kind = slicer.vtkSlicerTerminologyCategory(), slicer.vtkSlicerTerminologyType()
    for c in range(logic.GetNumberOfCategoriesInTerminology(CONTEXT)):
        if not logic.GetNthCategoryInTerminology(CONTEXT, c, category):
            continue
        for n in range(logic.GetNumberOfTypesInTerminologyCategory(CONTEXT, category)):
            isRead = logic.GetNthTypeInTerminologyCategory(CONTEXT, category, n, kind)
            if isRead and str(kind.GetCodeMeaning()).casefold() == name.strip().casefold():
                return _term(category), _term(kind)
    return None


def _term(coded: Any) -> CodedTerm:
    return CodedTerm(coded.GetCodingSchemeDesignator(), coded.GetCodeValue(), coded.GetCodeMeaning())

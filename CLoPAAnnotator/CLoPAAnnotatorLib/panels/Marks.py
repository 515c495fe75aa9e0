"""Leaving a target or a case out, and asking somebody else to look at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clopa_annotator.types import Slot
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.panels.Questions import askForText
from CLoPAAnnotatorLib.Texts import tr


class Marks:
    """The buttons Skip, Skip case and Ask for another look."""

    def __init__(self, ui: Any, workspace: Workspace, goOn: Callable[[], None]) -> None:
        """Make it; ``goOn`` opens what is to be done next."""
        self._ui, self._workspace, self._goOn = ui, workspace, goOn
        self.askForText = askForText

    def _name(self) -> str:
        session, targets = self._workspace.session, self._workspace.targets
        return session.caseId if targets.isSingle else f"{session.caseId}, {targets.nameOf(session.slot)}"

    def skip(self) -> None:
        """Leave the chosen target (the case, if it has one) out, with a reason, and go on."""
        reason = self._ask(tr("Skip"), tr("Why is {what} left out?"), self._name)
        if reason:
            self._mark("skip", reason, [self._workspace.session.slot], self._goOn)

    def skipCase(self) -> None:
        """Leave every target of the case out that is not decided, with a reason, and go on."""
        session = self._workspace.session
        reason = self._ask(tr("Skip"), tr("Why is {what} left out?"), lambda: session.caseId)
        if reason:
            slots = [line.slot for line in self._workspace.targets.lines() if line.isFree]
            self._mark("skip", reason, slots, self._goOn)

    def flag(self) -> None:
        """Ask for another look at the chosen target."""
        reason = self._ask(tr("Another look"), tr("What should be looked at in {what}?"), self._name)
        if reason:
            self._mark("flag", reason, [self._workspace.session.slot], None)

    def _ask(self, title: str, question: str, what: Callable[[], str]) -> str:
        self._workspace.session.requireCase()
        return self.askForText(self._ui.caseTitle, title, question.format(what=what()))

    def _mark(self, method: str, reason: str, slots: list[Slot], after: Callable[[], None] | None) -> None:
        workspace, case = self._workspace, self._workspace.session.caseId
        workspace.session.drafts.save()
        left = list(slots)

        def marked(row: Any) -> None:
            slot = left.pop(0)
            if method == "skip" and workspace.session.caseId == case:
                workspace.session.slots.of(slot).isTouched = False
            workspace.view.caseChanged(row)
            if left:
                following()
            elif after is not None:
                workspace.attempt(after)

        def following() -> None:
            call = getattr(workspace.link.client, method)(case, reason, left[0])
            call.then(marked, lambda error: workspace.say(str(error), "error"))

        if left:
            following()

"""What the user is told when something has happened to a case: a sentence and its mood."""

from __future__ import annotations

from clopa_annotator.types import CaseRef, Event
from clopa_annotator.wire.messages import Answer, CaseRow, OpenedCase
from clopa_annotator.wire.suggestion_messages import SuggestionMark
from CLoPAAnnotatorLib.annotation.PromptHistory import Step
from CLoPAAnnotatorLib.Texts import Mood, tr

Said = tuple[str, Mood]


def fileName(source: str) -> str:
    """The last part of a path of whatever computer: the whole is for records."""
    return source.replace("\\", "/").rstrip("/").rpartition("/")[2]


def short(dice: float) -> str:
    """A Dice as ".86"."""
    return f"{dice:.2f}".removeprefix("0")


def suggestedBy(mark: SuggestionMark) -> str:
    """Who made a suggestion, and how good it is expected to be."""
    said = tr("Suggested by version {v}").format(v=mark.version)
    if mark.dice is None or mark.low is None or mark.high is None:
        return said + ". " + tr("How good it is, is not known yet.")
    expected = tr("expected Dice {dice} ({low} to {high})")
    return f"{said}, " + expected.format(
        dice=short(mark.dice), low=short(mark.low), high=short(mark.high)
    ) + "."  # fmt: skip


def suggestion(mark: SuggestionMark) -> Said:
    """A case was opened of which there is a suggestion."""
    todo = tr("Right? Confirm. Nearly? Take it (S) or click on what is wrong. Wrong? Clear it (X).")
    return f"{suggestedBy(mark)} {todo}", "calm"


def withheld() -> str:
    """A case was opened whose suggestion is not shown."""
    return tr("No suggestion is shown for this one, to see what suggestions change. Click on the target.")


def suggestionsReady(row: CaseRow) -> str:
    """What is suggested for a case that nobody has begun; empty for nothing."""
    marks = [slot.suggestion for slot in row.slots if slot.suggestion is not None]
    if len(marks) > 1:
        return tr("{n} suggestions ready").format(n=len(marks))
    if not marks:
        return ""
    known = marks[0].dice
    ready = tr("suggestion ready")
    return ready if known is None else ready + ", " + tr("expected Dice {dice}").format(dice=short(known))


def whatNext(step: Step, answer: Answer, *, isCleared: bool = False) -> str:
    """What the user may want to do after an answer; empty if that is plain."""
    if step.kind == "reset" and isCleared:
        return tr("The suggestion is cleared. Click on the target in any slice view.")
    if step.kind != "prompts":
        return ""
    if answer.proposal.changed_kji is None:
        return tr("That changed nothing. Try another place, a scribble or a lasso.")
    return tr("Right? Confirm. Wrong? Left-click what is missing, right-click what is too much.")


def confirmed(ref: CaseRef, target: str = "", *, isAbsent: bool = False) -> Said:
    """The engine has answered with the record's hash; ``target`` is named where there are several."""
    said = tr("Confirmed: {case}, version {v}, record {hash}.")
    what = f"{ref.case_id}, {target}" if target else ref.case_id
    if isAbsent:
        said = tr("Confirmed: {case} is not present in this image, version {v}, record {hash}.")
        what = target
    return said.format(case=what, v=ref.case_version, hash=ref.record_hash[:8]), "good"


def sceneClosed(caseId: str, isConfirmed: bool) -> Said:
    """Slicer's scene was emptied while a case was open."""
    if isConfirmed:
        return tr("The scene was closed. {case} is confirmed.").format(case=caseId), "calm"
    said = tr("The scene was closed. Unfinished work is kept: choose {case} to go on.")
    return said.format(case=caseId), "calm"


def returned(case: OpenedCase) -> Said:
    """A reviewer has sent it back."""
    back = case.returned
    said = tr("{who} returned this: {comment} Mend it and confirm it again.")
    return said.format(who=back.reviewer, comment=back.comment), "warning"


def slotOpened(case: OpenedCase, target: str, newWeights: int | None, *, isBack: bool = False) -> Said:
    """A target of a case with several was chosen; ``isBack``: work on it began since the case was opened."""
    if isBack:
        return tr("{target}: go on where you left it.").format(target=target), "calm"
    if case.returned is not None:
        sentence, mood = returned(case)
        return f"{target}: {sentence}", mood
    if case.draft is not None and case.draft.imported is not None:
        said = tr("{target}: this is a suggestion from {file}. Correct it and confirm, or start over.")
        return said.format(target=target, file=fileName(case.draft.imported.source)), "calm"
    if case.draft is not None:
        return tr("{target}: your unfinished work is back.").format(target=target), "good"
    if case.confirmed is not None:
        said = tr("{target}: this is what was confirmed. Change it and confirm again, or go on.")
        return said.format(target=target), "calm"
    if case.suggestion is not None:
        said, mood = suggestion(case.suggestion.mark)
        return f"{target}: {said}", mood
    if case.is_withheld:
        return f"{target}: {withheld()}", "calm"
    start = tr("{target}: click on it in any slice view.").format(target=target)
    if newWeights is None:
        return start, "calm"
    return tr("New weights are in use: version {v}.").format(v=newWeights) + " " + start, "good"


def opened(case: OpenedCase, newWeights: int | None) -> Said:
    """A case was opened; ``newWeights`` is their version if they are others than in the case before."""
    if case.returned is not None:
        return returned(case)
    if case.draft is not None and case.draft.imported is not None:
        said = tr("This is a suggestion from {file}. Correct it and confirm, or start over.")
        return said.format(file=fileName(case.draft.imported.source)), "calm"
    if case.draft is not None:
        return tr("Your unfinished work on {case} is back.").format(case=case.row.case_id), "good"
    if case.confirmed is not None:
        return tr("This is what was confirmed. Change it and confirm again, or go on."), "calm"
    if case.suggestion is not None:
        return suggestion(case.suggestion.mark)
    if case.is_withheld:
        return withheld(), "calm"
    start = tr("Click on the target in any slice view.")
    if newWeights is None:
        return start, "calm"
    return tr("New weights are in use: version {v}.").format(v=newWeights) + " " + start, "good"


def andNext(confirmed: str, said: Said) -> Said:
    """What is said of the next target, after the one that was confirmed."""
    return tr("{target} is confirmed.").format(target=confirmed) + " " + said[0], "good"


def otherEdited(target: str) -> Said:
    """A hand edit took voxels from, or gave some to, a confirmed target that is not the chosen one."""
    said = tr("Your edit changed {target} too, which was confirmed. Look at it and confirm it again.")
    return said.format(target=target), "warning"


def resumed(case: OpenedCase, isConfirmed: bool) -> Said:
    """The engine is back, and the open case with it."""
    if isConfirmed and case.confirmed is not None:
        return confirmed(case.confirmed)
    return tr("Connected again; nothing was lost. Go on."), "good"


def ofEvent(event: Event) -> Said | None:
    """What an event from the engine says; None if it is told elsewhere."""
    if event.name == "swapped":
        return tr("New weights are in use: version {v}.").format(v=event.data.get("version")), "calm"
    if event.name == "taken_back":
        said = tr("Version {v} was taken back, version {u} is in use again. {reason}")
        data = event.data
        return said.format(v=data.get("version"), u=data.get("in_use"), reason=data.get("reason")), "warning"
    if event.name == "connection" and not event.data.get("up", True):
        return str(event.data.get("sentence", "")), "error"
    if event.name == "confirmation_refused":
        said = tr("The confirmation of {case} that was kept here was refused: {reason} Confirm it again.")
        return said.format(case=event.data.get("case_id"), reason=event.data.get("reason")), "error"
    return None

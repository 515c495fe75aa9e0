"""What the user interface needs from an engine, whoever and wherever it is.

The interface is asynchronous: every method returns a `Call` at once and never blocks; its callbacks and the
event listeners run in `EngineClient.poll`, in the caller's thread. `HttpEngineClient` (an engine process) and
`FakeEngineClient` (in this process, deterministic) fulfil it; one contract suite runs against both. Neither
torch nor Qt is needed here.

Errors that a `Call` fails with are those of `clopa_annotator.errors`; their text is shown as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from clopa_annotator.case_order import CaseSettings
from clopa_annotator.client.calls import Call
from clopa_annotator.client.reviewing_client import ReviewingClient
from clopa_annotator.types import CaseRef, Confirmation, Event, Image, Prompt, Slot, Targets, WeightsVersion
from clopa_annotator.types.exports import Exported, ExportOrder, OnProgress
from clopa_annotator.types.imports import ImportOrder, ImportReport
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.learning_messages import EpisodeRow, LearningState, SwapPolicy
from clopa_annotator.wire.messages import Answer, CaseRow, CaseStatistics, Draft, EngineInfo, OpenedCase
from clopa_annotator.wire.suggestion_messages import SuggestionState

EventListener = Callable[[Event], object]


@runtime_checkable
class EngineClient(ReviewingClient, Protocol):
    """One annotator's line to one engine, which owns one campaign.

    A case has a mask for each target (`Slot`); where nothing is said, the campaign's first target is meant,
    the only one of most. Learning is told per target, by its key. An unknown target fails with `ConfigError`.

    Calls are carried out in the order in which they are made, except `learning`, `episodes`, `weights`,
    `statistics`, `suggestions` and `cases`, which never wait behind a prediction, and `export` and
    `import_labels`, behind which nothing waits but each other. A call that cannot reach the engine is retried
    with back-off for a few seconds and then fails with `EngineUnreachable`.

    Events (names): "case_changed" (case_id), "confirmed" (case_id, record_hash, confirmation_id, target,
    instance; also for one delivered late), "targets_changed" and "case_settings_changed" (ask `connect` for
    them), "learning" (the state changed: ask `learning`), "episode_progress" (episode, epoch, epochs, loss,
    seconds_left), "promoted" / "rejected" (episode, version, reason), "version_confirmed" / "taken_back"
    (version, in_use, reason), "episode_failed" (episode, reason), "reviewed" (case_id, verdict, instance),
    "swapped" (version), "rolled_back" (version), "suggested" (case_id, version, target, instance: it can be
    shown), "suggestions" (ask `suggestions`), "connection" (up: bool, sentence). Those about learning and
    reviews hold the target's key as ``target``. Unknown names are to be ignored.
    """

    @property
    def pending(self) -> int:
        """Calls not yet answered and delivered."""
        ...

    def poll(self, wait_s: float = 0.0) -> int:
        """Deliver answers and events to their callbacks, in this thread; see `CallQueue.poll`."""
        ...

    def listen(self, listener: EventListener) -> Callable[[], None]:
        """Have ``listener`` told every event from now on; the returned function ends that."""
        ...

    def close(self) -> None:
        """Give the open case back, cancel every call, stop. Idempotent; does not wait for the network."""
        ...

    def connect(self) -> Call[EngineInfo]:
        """Say hello.

        Fails with `EngineUnreachable`, `WrongToken`, `VersionMismatch` or `EngineFull`.
        """
        ...

    def set_targets(self, targets: Targets) -> Call[EngineInfo]:
        """Say what the campaign segments: rename, recolour, reorder, add, remove those without records.

        Existing ones are known by their keys; a new one's key is made with `Targets.with_new`. Whoever
        annotates goes on; the event "targets_changed" tells them. Fails with `NotPermitted` (the owner's
        matter), `ConfigError`, `InputError` (one that has records cannot go).
        """
        ...

    def set_case_settings(self, settings: CaseSettings) -> Call[EngineInfo]:
        """Say in which order cases come, and how many of them without a suggestion; the seed is kept.

        Every client hears the event "case_settings_changed" and asks `connect` for them. Fails with
        `NotPermitted` (the owner's matter), `ConfigError`, `CacheError` (it could not be written).
        """
        ...

    # -- cases ---------------------------------------------------------------------------------------------

    def cases(self) -> Call[tuple[CaseRow, ...]]:
        """Every case that the campaign knows, in the order in which they were added."""
        ...

    def prefetch_case(self, case_id: str, image: Image, source: str = "") -> Call[CaseRow]:
        """Add a case without opening it, so that `open_case` is quick; does nothing if it is there.

        The voxels must not change until the call is answered. Fails with `ImageError`, `GeometryError`.
        """
        ...

    def open_case(
        self, case_id: str, image: Image, source: str = "", slot: Slot | None = None
    ) -> Call[OpenedCase]:
        """Take the case, add it if it is new, give its image to the session, restore the draft.

        ``slot`` is chosen (see `choose`); None is the first that is not decided and that nobody holds, or the
        first of all if there is none. Whatever case was open before is given back. Promoted weights that wait
        for the next case come into use now. The voxels must not change until the call is answered. Fails with
        `ImageError`, `GeometryError` (another image was added under this name), `CaseTaken`, `ConfigError`.
        """
        ...

    def choose(self, slot: Slot) -> Call[OpenedCase]:
        """Have prompts, undo, redo, reset and drafts of the open case go to this target from now on.

        The target before is given back to others, and its steps are kept: choosing it again while the case
        is open brings its prompts, undo and redo back, unless somebody else worked on it meanwhile. A target
        that is chosen for the first time begins with its draft or confirmed mask, as in `open_case`. Choosing
        the one that is chosen already brings the others' masks up to date. "Another one" of several of a kind
        is the instance after the last. The next prediction uses the weights of the target. Fails with
        `ConfigError` (no such target, or there is only one of it), `CaseTaken`, `NoImage`.

        A proposal never holds voxels that belong to another target, confirmed or drafted, unless one of the
        two may overlap.
        """
        ...

    def leave_case(self) -> Call[None]:
        """Give the open case back; its draft stays."""
        ...

    def skip(self, case_id: str, reason: str, slot: Slot = FIRST) -> Call[CaseRow]:
        """Mark a target of a case as skipped. Fails with `UnknownCase`."""
        ...

    def reopen(self, case_id: str, slot: Slot = FIRST) -> Call[CaseRow]:
        """Put a confirmed or skipped target back to work; its versions stay. Fails with `UnknownCase`."""
        ...

    def withdraw(self, case_id: str, reason: str, slot: Slot = FIRST) -> Call[CaseRow]:
        """Mark the newest confirmed version as withdrawn: it will train no more. Fails with `UnknownCase`."""
        ...

    def flag(self, case_id: str, reason: str, slot: Slot = FIRST) -> Call[CaseRow]:
        """Mark a target of a case as needing another look. Fails with `UnknownCase`."""
        ...

    # -- the open case -------------------------------------------------------------------------------------

    def add_prompts(self, prompts: Sequence[Prompt]) -> Call[Answer]:
        """Add prompts, predict once; one step of undo. Fails as `Session.add_prompts` does.

        A prompt already under way is finished first. Cancelling the call drops its answer; the next answer's
        ``changed_kji`` then covers what the dropped one changed.
        """
        ...

    def undo(self) -> Call[Answer]:
        """Go back one step. Fails with `NothingToUndo`."""
        ...

    def redo(self) -> Call[Answer]:
        """Take an undo back. Fails with `NothingToRedo`."""
        ...

    def reset(self) -> Call[Answer]:
        """Forget all prompts; can be undone."""
        ...

    def save_draft(self, draft: Draft, slot: Slot | None = None) -> Call[None]:
        """Keep the open case's unconfirmed work on a target, the chosen one (at this moment) if None.

        A newer draft of a target replaces one still waiting to be sent.
        """
        ...

    def confirm(self, confirmation: Confirmation) -> Call[CaseRef]:
        """Store a decision on ``confirmation.slot``; answered once the record is durable, with its hash.

        An empty mask says that the image holds no such target.
        The client first writes it to its undelivered. If the engine cannot be reached the call fails with
        `EngineUnreachable`, whose text says that it is kept; it is delivered once the engine is back, and the
        event "confirmed" tells. Fails with `GeometryError`, `StorageFull`, `ReadOnlyCampaign`, `CaseTaken`,
        `InputError` (voxels that another exclusive target has by now).
        """
        ...

    # -- learning ------------------------------------------------------------------------------------------

    def learning(self, target: str = "") -> Call[LearningState]:
        """What is being learned now of a target."""
        ...

    def episodes(self, target: str = "") -> Call[tuple[EpisodeRow, ...]]:
        """Every episode of a target, oldest first."""
        ...

    def weights(self, target: str = "") -> Call[tuple[WeightsVersion, ...]]:
        """Every weights version of a target, the base first."""
        ...

    def statistics(self, target: str = "") -> Call[tuple[CaseStatistics, ...]]:
        """Every confirmation of a target (all its instances) that is not withdrawn, in order of arrival."""
        ...

    def train_now(self, target: str = "") -> Call[LearningState]:
        """Start an episode with what is there. Fails with `EpisodeError` (too few cases, one runs)."""
        ...

    def pause(self, paused: bool, target: str = "") -> Call[LearningState]:
        """Start no episode of a target by itself (True), or again (False); a running one goes on."""
        ...

    def cancel_episode(self, target: str = "") -> Call[LearningState]:
        """Stop the target's running episode; the weights stay. Fails with `EpisodeError` if none runs."""
        ...

    def roll_back(self, version: int, target: str = "") -> Call[LearningState]:
        """Use an earlier version from now on. Fails with `UnknownVersion`, `NotPermitted`."""
        ...

    def set_swap_policy(self, policy: SwapPolicy, target: str = "") -> Call[LearningState]:
        """Say when promoted weights of a target come into use."""
        ...

    # -- suggestions ---------------------------------------------------------------------------------------

    def suggestions(self) -> Call[SuggestionState]:
        """What the engine does about masks for cases that nobody has begun; never waits."""
        ...

    def suggest_all(self) -> Call[SuggestionState]:
        """Suggest for every open case that the engine has the image of, not only for the next ones.

        The event "suggestions" tells how far it is; somebody's click, or an episode, makes it wait.
        """
        ...

    def cancel_suggestions(self) -> Call[SuggestionState]:
        """Suggest for the next cases only; what is made stays."""
        ...

    def switch_suggestions(self, on: bool) -> Call[SuggestionState]:
        """Have masks suggested in this campaign, or not; kept with it. Fails with `NotPermitted`."""
        ...

    # -- data in and out -----------------------------------------------------------------------------------

    def export(self, order: ExportOrder, on_progress: OnProgress | None = None) -> Call[Exported]:
        """Write confirmed cases (or the weights) on the engine's machine.

        ``on_progress`` is called from `poll`. A cancelled call stops the export; nothing of it is left. Fails
        with `ConfigError` (an unknown format, a folder that is not empty), `UnknownCase`, `NotPermitted`,
        `CacheError` (no room; another export runs).
        """
        ...

    def import_labels(self, order: ImportOrder, on_progress: OnProgress | None = None) -> Call[ImportReport]:
        """Read labels on this machine and hand them to the engine, as confirmed masks or as suggestions.

        A label that does not fit is left out, with its reason in the report. A cancelled call stops before
        the next label; what was imported stays. Fails with `DatasetError` (no labels there), `ConfigError`
        (the target is not the campaign's), `NotPermitted`.
        """
        ...

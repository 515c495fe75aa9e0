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

from clopa_annotator.client.calls import Call
from clopa_annotator.types import CaseRef, Confirmation, Event, Image, Prompt, WeightsVersion
from clopa_annotator.wire.messages import (
    Answer,
    CaseRow,
    CaseStatistics,
    Draft,
    EngineInfo,
    EpisodeRow,
    ExportFormat,
    LearningState,
    OpenedCase,
    SwapPolicy,
)

EventListener = Callable[[Event], object]


@runtime_checkable
class EngineClient(Protocol):
    """One annotator's line to one engine, which owns one campaign.

    Calls are carried out in the order in which they are made, except `learning`, `episodes`, `weights`,
    `statistics` and `cases`, which never wait behind a prediction. A call that cannot reach the engine is
    retried with back-off for a few seconds and then fails with `EngineUnreachable`.

    Events (names): "case_changed" (case_id), "confirmed" (case_id, record_hash, confirmation_id; also for one
    delivered late from the spool), "learning" (the state changed: ask `learning`), "episode_progress"
    (episode, epoch, epochs, loss, seconds_left), "promoted" / "rejected" (episode, version, reason),
    "episode_failed" (episode, reason), "swapped" (version), "rolled_back" (version), "connection" (up: bool,
    sentence). Unknown names are to be ignored.
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

    # -- cases ---------------------------------------------------------------------------------------------

    def cases(self) -> Call[tuple[CaseRow, ...]]:
        """Every case that the campaign knows, in the order in which they were added."""
        ...

    def prefetch_case(self, case_id: str, image: Image, source: str = "") -> Call[CaseRow]:
        """Add a case without opening it, so that `open_case` is quick; does nothing if it is there.

        The voxels must not change until the call is answered. Fails with `ImageError`, `GeometryError`.
        """
        ...

    def open_case(self, case_id: str, image: Image, source: str = "") -> Call[OpenedCase]:
        """Take the case, add it if it is new, give its image to the session, restore the draft.

        Whatever case was open before is given back. Promoted weights that wait for the next case come into
        use now. The voxels must not change until the call is answered. Fails with `ImageError`,
        `GeometryError` (another image was added under this name), `CaseTaken`.
        """
        ...

    def leave_case(self) -> Call[None]:
        """Give the open case back; its draft stays."""
        ...

    def skip(self, case_id: str, reason: str) -> Call[CaseRow]:
        """Mark a case as skipped. Fails with `UnknownCase`."""
        ...

    def reopen(self, case_id: str) -> Call[CaseRow]:
        """Put a confirmed or skipped case back to work; its versions stay. Fails with `UnknownCase`."""
        ...

    def withdraw(self, case_id: str, reason: str) -> Call[CaseRow]:
        """Mark the newest confirmed version as withdrawn: it will train no more. Fails with `UnknownCase`."""
        ...

    def flag(self, case_id: str, reason: str) -> Call[CaseRow]:
        """Mark a case as needing another look. Fails with `UnknownCase`."""
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

    def save_draft(self, draft: Draft) -> Call[None]:
        """Keep the open case's unconfirmed work. A newer draft replaces one still waiting to be sent."""
        ...

    def confirm(self, confirmation: Confirmation) -> Call[CaseRef]:
        """Store a decision; answered only after the record is durable, with its hash.

        The client first writes it to its spool. If the engine cannot be reached the call fails with
        `EngineUnreachable`, whose text says that it is kept; it is delivered once the engine is back, and the
        event "confirmed" tells. Fails with `GeometryError`, `StorageFull`, `ReadOnlyCampaign`, `CaseTaken`.
        """
        ...

    # -- learning ------------------------------------------------------------------------------------------

    def learning(self) -> Call[LearningState]:
        """What is being learned now."""
        ...

    def episodes(self) -> Call[tuple[EpisodeRow, ...]]:
        """Every episode, oldest first."""
        ...

    def weights(self) -> Call[tuple[WeightsVersion, ...]]:
        """Every weights version, the base first."""
        ...

    def statistics(self) -> Call[tuple[CaseStatistics, ...]]:
        """Every confirmation that is not withdrawn, in order of arrival."""
        ...

    def train_now(self) -> Call[LearningState]:
        """Start an episode with what is there. Fails with `EpisodeError` (too few cases, one runs)."""
        ...

    def pause(self, paused: bool) -> Call[LearningState]:
        """Start no episode by itself (True), or again (False); a running one goes on."""
        ...

    def cancel_episode(self) -> Call[LearningState]:
        """Stop the running episode; the weights stay. Fails with `EpisodeError` if none runs."""
        ...

    def roll_back(self, version: int) -> Call[LearningState]:
        """Use an earlier version from now on. Fails with `UnknownVersion`, `NotPermitted`."""
        ...

    def set_swap_policy(self, policy: SwapPolicy) -> Call[LearningState]:
        """Say when promoted weights come into use."""
        ...

    def export(self, format: ExportFormat, folder: str) -> Call[str]:
        """Write confirmed cases (or the weights) on the engine's machine; answers the folder written."""
        ...

"""A session that learns: any `Session` together with an `OnlineStrategy`.

Predictions, undo and redo are the inner session's; this wrapper lets the strategy learn after each step and
predicts the step again with the new weights (undo, then the same prompts), so that what is shown comes from
one weights version. Learning that fails never costs a click: the proposal stands, the weights are as before,
and the reason is logged and kept in ``last_failure``.

The weights belong to the model. While a strategy learns between clicks, one session should use the model.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from clopa_annotator.errors import ClopaError, EpisodeError, SessionError
from clopa_annotator.online.strategy import Interaction, OnlineStrategy, OnlineUpdate
from clopa_annotator.session.protocol import Session, SwitchingSession
from clopa_annotator.types import Image, Mask, Prompt, PromptKind, Proposal

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Moment:
    """A state of the session: its proposal's mask, the weights in use, the size of the case's first step."""

    mask: Mask
    version: int
    first_step: int


@dataclass(frozen=True, eq=False)
class _Aside:
    """Work put aside: the inner session's, the weights in use, and what is remembered of its steps."""

    inner: object
    version: int
    back: deque[_Moment]
    forward: list[_Moment]
    first_step: int


class AdaptingSession:
    """Fulfils `Session`; see the module's docstring.

    Args:
        session: does the predicting.
        strategy: learns on the weights that the session predicts with.
    """

    def __init__(self, session: Session, strategy: OnlineStrategy) -> None:
        self._session = session
        self._strategy = strategy
        self._image: Image | None = None
        self._back: deque[_Moment] = deque()
        self._forward: list[_Moment] = []
        self._first_step = 0
        self._version = session.weights_version
        self.last_failure = ""

    @property
    def strategy(self) -> OnlineStrategy:
        """What learns."""
        return self._strategy

    @property
    def supported(self) -> frozenset[PromptKind]:
        """The kinds of prompt that the loaded model takes."""
        return self._session.supported

    @property
    def licence(self) -> str:
        """First line of the loaded model's licence."""
        return self._session.licence

    @property
    def weights_version(self) -> int:
        """Version that the next prediction will use; negative while provisional."""
        return self._session.weights_version

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts behind the current proposal, oldest first."""
        return self._session.prompts

    @property
    def proposal(self) -> Proposal:
        """The current proposal; an empty mask before the first prompt."""
        return self._session.proposal

    @property
    def can_undo(self) -> bool:
        """Whether `undo` has an earlier state to go to."""
        return self._session.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether `redo` has an undone state to go to."""
        return self._session.can_redo

    def learn_with(self, strategy: OnlineStrategy) -> None:
        """Have another strategy learn from the next image on: that of another target's weights."""
        self._strategy = strategy

    def set_image(self, image: Image) -> None:
        """Replace the image; what was learned within the case before is dropped."""
        self._session.set_image(image)
        self._strategy.start_case()
        self._image = image
        self._forget_steps()
        self._version = self._session.weights_version

    def add_prompt(self, prompt: Prompt) -> Proposal:
        """Add one prompt, predict, learn, and predict again if the weights changed."""
        return self.add_prompts((prompt,))

    def add_prompts(self, prompts: Sequence[Prompt]) -> Proposal:
        """Add prompts in order, predict, learn, predict again if the weights changed; one step of undo."""
        given = tuple(prompts)
        before, older = self._moment() if self._image else None, self._session.prompts
        proposal = self._session.add_prompts(given)
        if before is None or self._image is None:
            return proposal
        now = self._session.prompts
        continues = bool(older) and len(now) > len(older)
        newest = len(now) - len(older) if continues else len(now)
        earlier = self._back[-1].mask if continues and self._back else None
        self._back.append(before)
        self._forward.clear()
        self._first_step = self._first_step if continues else newest
        step = Interaction(self._image, now, newest, earlier, before.mask, proposal.mask)
        shown = self._again(given, before) if self._learn_from(step) else proposal
        self._version = self._session.weights_version
        return shown

    def undo(self) -> Proposal:
        """Go back one step, to exactly the state before: mask, prompts and weights."""
        now = self._moment()
        proposal = self._session.undo()
        self._forward.append(now)
        self._return_to(self._back.pop())
        return proposal

    def redo(self) -> Proposal:
        """Take the last `undo` back: mask, prompts and weights."""
        now = self._moment()
        proposal = self._session.redo()
        self._back.append(now)
        self._return_to(self._forward.pop())
        return proposal

    def reset(self) -> Proposal:
        """Forget all prompts; the weights stay. Can be undone."""
        now = self._moment()
        proposal = self._session.reset()
        self._back.append(now)
        self._forward.clear()
        return proposal

    def switch(self, to: object | None = None, strategy: OnlineStrategy | None = None) -> object:
        """See `SwitchingSession.switch`.

        Args:
            to: what is taken up.
            strategy: who learns from now on, for the weights of another target, which are in the network by
                now; the same one if None. It begins a case, unless the network holds exactly the weights with
                which this work was put aside: then it goes on.

        Raises:
            NoImage: no image is set, or the session within cannot switch.
        """
        if not isinstance(self._session, SwitchingSession) or not isinstance(to, _Aside | None):
            raise SessionError("This session works on one thing at a time.")
        inner = self._session.switch(to.inner if to else None)
        aside = _Aside(inner, self._version, self._back, self._forward, self._first_step)
        self._back, self._forward, self._first_step = deque(), [], 0
        if to is not None:
            self._back, self._forward, self._first_step = to.back, to.forward, to.first_step
        self._strategy = strategy or self._strategy
        if to is None or to.version != self._session.weights_version:
            self._strategy.start_case()
        self._version = self._session.weights_version
        return aside

    def close(self) -> None:
        """Let go of the image and the buffers."""
        self._session.close()
        self._image = None
        self._forget_steps()

    def after_confirm(self, mask: Mask) -> OnlineUpdate | None:
        """Let the strategy learn from the confirmed mask of the open case; None if it did not."""
        if self._image is None:
            return None
        try:
            update = self._strategy.after_confirm(
                self._image, self._session.prompts, mask, max(self._first_step, 1)
            )
        except EpisodeError as error:
            self._failed(error)
            return None
        self.last_failure = ""
        self._version = self._session.weights_version
        return update

    def _learn_from(self, step: Interaction) -> bool:
        try:
            update = self._strategy.after_click(step)
        except EpisodeError as error:
            self._failed(error)
            return False
        self.last_failure = ""
        return update is not None

    def _again(self, given: tuple[Prompt, ...], before: _Moment) -> Proposal:
        """Predict the newest step with the new weights; with the old ones' answer if that fails."""
        self._session.undo()
        try:
            return self._session.add_prompts(given)
        except SessionError as error:
            self._failed(error)
            self._strategy.return_to(before.version)
            return self._session.redo()

    def _failed(self, error: ClopaError) -> None:
        logger.warning("Learning between clicks failed: %s", error)
        self.last_failure = str(error)

    def _moment(self) -> _Moment:
        return _Moment(self._session.proposal.mask, self._session.weights_version, self._first_step)

    def _return_to(self, moment: _Moment) -> None:
        self._first_step = moment.first_step
        self._strategy.return_to(moment.version)
        self._version = self._session.weights_version

    def _forget_steps(self) -> None:
        self._back.clear()
        self._forward.clear()
        self._first_step = 0

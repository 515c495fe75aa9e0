"""The one thread on which the network predicts, changes its weights and learns online.

nnInteractive's server hands its predictions to a ``gpu_executor``; this is one. It tells the trainer that a
click is being answered, brings in the weights version that the asking session works with, and refuses an
image that would turn everything into NaN. Where memory runs out, the trainer's is taken (see `room`). One
thread because cuDNN keeps its plans per thread, and because that is what makes a swap between two predictions
safe: nothing else touches the parameters.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch

from clopa_annotator.errors import ClopaError, EngineUnreachable
from clopa_annotator.session.suggesting import PassGivenUp
from clopa_annotator.training.memory_room import with_room
from clopa_annotator.training.yielding import between_layers

logger = logging.getLogger(__name__)

T = TypeVar("T")
ENDING = "The engine is ending; what was confirmed is safe."


@dataclass(frozen=True)
class LineVersion:
    """Which weights a prediction needs.

    Attributes:
        line: key of the line of learning; "" for the first target's, or the one of all targets.
        version: its version; None for the line's weights with what was learned between clicks since.
    """

    line: str = ""
    version: int | None = None


class LiveWeights(Protocol):
    """The network's weights, as the prediction thread needs them."""

    def current(self, line: str = "") -> int:
        """Version of a line that a case opened now works with."""
        ...

    def use(self, wanted: LineVersion) -> None:
        """Bring weights into the live network; quick if they are there already."""
        ...

    def held(self) -> AbstractContextManager[object]:
        """Keep everybody else away from the network's parameters meanwhile."""
        ...


class ClickSignal(Protocol):
    """Whoever has to step back while a click is answered; the supervisor fulfils it."""

    def click_begins(self) -> None:
        """A click waits or is being answered."""
        ...

    def click_ends(self) -> None:
        """It was answered."""
        ...

    def make_room(self, measure: int) -> bool:
        """Give up memory for it, more with a larger measure; False if there is none to give."""
        ...


class OnThread(Protocol):
    """Runs work on the prediction thread and waits for it."""

    def __call__(self, work: Callable[[], T], /) -> T:
        """The work's result."""
        ...


class PredictionThread(ThreadPoolExecutor):
    """A single-threaded executor that knows about weights versions."""

    def __init__(
        self,
        weights: LiveWeights,
        signal: ClickSignal,
        on_start: Callable[[], None] | None = None,
        follow: bool = False,
    ) -> None:
        """Start without a thread; it comes with the first work.

        Args:
            weights: of the live network.
            signal: who steps back while a click is answered.
            on_start: runs once on the thread, for instance to choose the CUDA device.
            follow: stock sessions take what the first target has learned between clicks, too.
        """
        super().__init__(max_workers=1, thread_name_prefix="prediction", initializer=on_start)
        self._weights, self._signal, self._follow = weights, signal, follow
        self._pinned: weakref.WeakKeyDictionary[Any, tuple[weakref.ref[Any], int]] = (
            weakref.WeakKeyDictionary()
        )
        self._stopped = threading.Event()

    def make_room(self, measure: int) -> bool:
        """Take the trainer's memory, as for a click; False if there is none to give."""
        return self._signal.make_room(measure)

    def stop(self) -> None:
        """Take no more work and drop what waits; returns at once, while a prediction may be under way."""
        self._stopped.set()
        self.shutdown(wait=False, cancel_futures=True)

    def join(self, patience_s: float) -> bool:
        """After `stop`: wait for the prediction that is under way; whether it has ended in time."""
        waiting = threading.Thread(target=self.shutdown, name="prediction-end", daemon=True)
        waiting.start()
        waiting.join(patience_s)
        return not waiting.is_alive()

    def predict(self, wanted: LineVersion | None, work: Callable[[], T]) -> T:
        """Run ``work`` with weights in place and wait for it.

        Args:
            wanted: which weights; None leaves whatever is in the network, for work that changes it.
            work: must not wait for this thread.

        Raises:
            EngineUnreachable: the thread was stopped before the work's turn came.
        """

        def steps() -> T:
            with self._weights.held():
                if wanted is not None:
                    self._weights.use(wanted)
                return work()

        try:
            return self._signalled(steps).result()
        except (CancelledError, RuntimeError) as error:
            if self._stopped.is_set():
                raise EngineUnreachable(ENDING) from error
            raise

    def spare(self, wanted: LineVersion, work: Callable[[], T], gives_way: Callable[[], bool]) -> T:
        """Run ``work`` that everybody else goes before, and wait for it; nobody is asked to step back.

        Args:
            wanted: which weights.
            work: one pass of the network at most.
            gives_way: asked before each layer; True ends the pass there, so that a click waits for one layer.

        Raises:
            PassGivenUp: it was asked to give way, and ``work`` does not take its passes again by itself.
            EngineUnreachable: the thread was stopped.
        """

        def look() -> None:
            if gives_way():
                raise PassGivenUp

        def steps() -> T:
            look()
            with self._weights.held():
                self._weights.use(wanted)
                with between_layers(look):
                    return work()

        try:
            return super().submit(steps).result()
        except (CancelledError, RuntimeError) as error:
            if self._stopped.is_set():
                raise EngineUnreachable(ENDING) from error
            raise

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Take work from nnInteractive's own server, whose first argument is the asking session.

        Raises:
            EngineUnreachable: the thread was stopped.
        """
        if args and hasattr(args[0], "preprocessed_image"):
            if self._stopped.is_set():
                raise EngineUnreachable(ENDING)
            return self._signalled(lambda: self._stock(fn, args, kwargs))
        if self._stopped.is_set():
            # Its server closes its sessions behind an empty piece of work, to come after the last prediction.
            nothing: Future[T] = Future()
            nothing.set_result(fn(*args, **kwargs))
            return nothing
        return super().submit(fn, *args, **kwargs)

    def _signalled(self, work: Callable[[], T]) -> Future[T]:
        self._signal.click_begins()
        try:
            future = super().submit(with_room, work, self._signal.make_room)
        except BaseException:
            self._signal.click_ends()
            raise
        future.add_done_callback(lambda _: self._signal.click_ends())
        return future

    def _stock(self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        with self._weights.held():
            version = self._version_of(args[0])
            self._weights.use(LineVersion("", None if self._follow else version))
            try:
                return fn(*args, **kwargs)
            except (ValueError, AssertionError, ClopaError):
                raise
            except Exception as error:
                # nnInteractive's server answers 400 with the text of a ValueError, and a bare 500 otherwise.
                logger.exception("A stock session could not carry out a request")
                raise ValueError(f"The request could not be carried out: {error!r}") from error

    def _version_of(self, session: Any) -> int:
        """The version with which a stock session opened its image; the image is checked once."""
        image = session.preprocessed_image
        if image is None:
            raise ValueError("Set an image first.")
        known = self._pinned.get(session)
        if known is not None and known[0]() is image:
            return known[1]
        if not bool(image.isfinite().all()):
            raise ValueError(
                "The image has voxels that are not numbers, or is constant: nothing can be found in it."
            )
        self._pinned[session] = (weakref.ref(image), self._weights.current())
        return self._weights.current()


def device_in_words(device: torch.device) -> str:
    """For instance "CPU, 8 threads" or "NVIDIA RTX A5000"."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    if device.type == "mps":
        return "Apple GPU"
    return f"CPU, {torch.get_num_threads()} threads"


def device_setter(device: torch.device) -> Callable[[], None] | None:
    """The current CUDA device belongs to a thread; the prediction thread needs the model's."""
    if device.type == "cuda" and device.index is not None:
        return lambda: torch.cuda.set_device(device)
    return None

"""The prompts behind the screen are those that the engine has: a confirmation records them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from CLoPAAnnotatorLib.annotation.PromptHistory import PromptHistory, Step

STEPS = st.sampled_from(["prompts", "prompts", "mask", "undo", "redo", "reset", "take back"])


class Stack:
    """Undo and redo as everybody knows them: what was undone is gone once something new is done."""

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = [()]
        self.undone: list[tuple[str, ...]] = []

    def follow(self, kind: str, name: str) -> None:
        if kind in ("undo", "take back"):
            if len(self.done) > 1:
                self.undone.append(self.done.pop())
        elif kind == "redo":
            if self.undone:
                self.done.append(self.undone.pop())
        else:
            self.done.append(
                () if kind == "reset" else (*self.done[-1], *((name,) if kind == "prompts" else ()))
            )
            self.undone.clear()


def test_a_new_prompt_after_undo_forgets_what_was_undone() -> None:
    history = PromptHistory()
    history.follow(Step("prompts", ("first",)))
    history.follow(Step("prompts", ("wrong",)))
    history.follow(Step("undo"))
    history.follow(Step("prompts", ("right",)))
    assert history.prompts == ("first", "right")
    history.follow(Step("redo"))
    assert history.prompts == ("first", "right"), "there is nothing to redo"
    history.follow(Step("undo"))
    assert history.prompts == ("first",)


@given(st.lists(STEPS, max_size=30))
def test_any_walk_through_undo_and_redo_meets_the_states_of_a_stack(walk: list[str]) -> None:
    history, stack = PromptHistory(), Stack()
    for number, kind in enumerate(walk):
        name = f"prompt {number}"
        history.follow(Step(kind, (name,) if kind == "prompts" else ()))
        stack.follow(kind, name)
        assert history.prompts == stack.done[-1]
        assert history.before == (stack.done[-2] if len(stack.done) > 1 else stack.done[-1])


def test_restored_prompts_can_be_taken_back_only_where_the_engine_can() -> None:
    history = PromptHistory(("kept",), canUndo=True)
    history.follow(Step("undo"))
    assert history.prompts == ()
    fixed = PromptHistory(("kept",), canUndo=False)
    fixed.follow(Step("undo"))
    assert fixed.prompts == ("kept",)

"""The targets of a campaign: names, keys, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clopa_annotator.errors import ConfigError
from clopa_annotator.types.targets import FIRST, KEY, CodedTerm, Slot, Target, Targets, key_of

NAMES = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1, max_size=60).filter(
    str.strip
)


def test_the_first_target_has_the_empty_key_and_the_others_one_of_their_name() -> None:
    targets = Targets.named(["Liver", "Left kidney", "left-kidney!"])
    assert [t.key for t in targets] == ["", "left-kidney", "left-kidney-2"]
    assert len({t.colour for t in targets}) == 3
    assert Slot("", 1) == FIRST


@given(NAMES, st.lists(NAMES, max_size=5))
def test_every_name_gives_a_key_of_its_own(name: str, others: list[str]) -> None:
    taken = [key_of(other) for other in others]
    key = key_of(name, taken)
    assert KEY.fullmatch(key)
    assert key not in taken


@given(NAMES)
def test_a_target_comes_back_from_plain_values(name: str) -> None:
    code = CodedTerm("SCT", "10200004", "Liver")
    target = Target(name, key_of(name), (1, 2, 3), None, code, overlaps=True, instances=True)
    assert Target.from_dict(target.to_dict()) == target
    assert Target.from_dict({**target.to_dict(), "of a newer version": 1}) == target


@pytest.mark.parametrize("names", [[], ["liver", "Liver "], ["a\nb"], [" "], [f"t{n}" for n in range(65)]])
def test_what_cannot_be_told_apart_is_refused(names: list[str]) -> None:
    with pytest.raises(ConfigError):
        Targets.named(names)


def test_an_unknown_target_is_answered_with_those_that_there_are() -> None:
    targets = Targets.named(["liver", "spleen"])
    assert targets.by_name("SPLEEN").key == "spleen"
    with pytest.raises(ConfigError, match="liver, spleen"):
        targets.by_name("kidney")
    with pytest.raises(ConfigError, match="liver, spleen"):
        targets.by_key("kidney")


def test_a_new_target_never_takes_the_first_ones_place() -> None:
    targets = Targets.named(["liver"]).with_new(Target("spleen")).with_new(Target("Spléen"))
    assert [t.key for t in targets] == ["", "spleen", "spleen-2"]


@pytest.mark.parametrize("slot", [("Liver", 1), ("liver", 0), ("liver", 10000), ("../x", 1), ("a", True)])
def test_a_slot_that_cannot_be_named_on_disk_is_refused(slot: tuple[str, int]) -> None:
    with pytest.raises(ConfigError):
        Slot(*slot)


@pytest.mark.parametrize(
    "values", [{}, {"name": "a", "colour": [1, 2]}, {"name": "a", "code": {"scheme": "SCT"}}]
)
def test_incomplete_values_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Target.from_dict(values)

"""Tokens: from a private file, compared in constant time, with a role."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from clopa_annotator.errors import ConfigError, NotPermitted, WrongToken
from clopa_annotator.wire.tokens import (
    Identity,
    TokenBook,
    first_token,
    load_token_file,
    new_token,
    write_token_file,
)


def test_a_missing_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "tokens.json"
    book = load_token_file(path)
    assert book.identify(first_token(path)) == Identity("owner", "owner")
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="mode bits exist on POSIX only")
def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    load_token_file(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_token_file(path)


def test_each_token_stands_for_a_person_and_a_role(tmp_path: Path) -> None:
    path, ada, bob = tmp_path / "t", new_token(), new_token()
    write_token_file(path, {ada: Identity("Ada", "owner"), bob: Identity("Bob", "annotator")})
    book = load_token_file(path)
    assert book.identify(ada).name == "Ada"
    assert first_token(path, "annotator") == bob
    with pytest.raises(NotPermitted, match="owner may roll weights back"):
        book.identify(bob).require_owner("roll weights back")


@pytest.mark.parametrize("given", ["", "x" * 43, "ü" * 30, "null"])
def test_a_wrong_token_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(WrongToken):
        load_token_file(tmp_path / "t").identify(given)


def test_a_token_counts_only_as_a_whole() -> None:
    token = "correct-horse-battery-staple-and-more"
    book = TokenBook({token: Identity("Ada", "owner")})
    near = [token[:n] for n in range(len(token))] + [
        token[:-1] + "x",
        token + "x",
        token.upper(),
        " " + token,
    ]
    for given in near:
        with pytest.raises(WrongToken):
            book.identify(given)
    assert book.identify(token).name == "Ada"


def test_tokens_with_a_common_beginning_are_two_persons() -> None:
    ada, bob = "shared-beginning-of-both-ada", "shared-beginning-of-both-bob"
    book = TokenBook({ada: Identity("Ada", "owner"), bob: Identity("Bob", "annotator")})
    assert (book.identify(ada).name, book.identify(bob).name) == ("Ada", "Bob")


def test_every_comparison_takes_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: compared.append((a, b)) or a == b)
    book = TokenBook({"a" * 20: Identity("a", "owner"), "b" * 20: Identity("b", "annotator")})
    assert book.identify("a" * 20).name == "a"
    assert len(compared) == 2


@pytest.mark.parametrize(
    ("word", "role", "reviews", "leads"),
    [
        ("lead", "owner", True, True),
        ("owner", "owner", True, True),
        ("reviewer", "reviewer", True, False),
        ("annotator", "annotator", False, False),
    ],
)
def test_a_role_says_who_may_review_and_who_leads(
    tmp_path: Path, word: str, role: str, reviews: bool, leads: bool
) -> None:
    path = tmp_path / "t"
    path.touch(mode=0o600)
    path.write_text(json.dumps({"tokens": [{"token": "x" * 20, "name": "Bob", "role": word}]}))
    bob = load_token_file(path).identify("x" * 20)
    assert (bob.role, bob.may_review) == (role, reviews)
    for allowed, ask in ((reviews, bob.require_reviewer), (leads, bob.require_owner)):
        if allowed:
            ask("do this")
        else:
            with pytest.raises(NotPermitted, match=f"may do this; you are signed in as {word}"):
                ask("do this")


def test_a_single_line_is_the_owners_token(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.touch(mode=0o600)
    path.write_text("correct-horse-battery\n")
    assert load_token_file(path).identify("correct-horse-battery").role == "owner"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        "{",
        '{"tokens": []}',
        '{"tokens": [{"token": "' + "x" * 20 + '", "name": "A", "role": "king"}]}',
    ],
)
def test_a_malformed_file_is_refused_in_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t"
    path.touch(mode=0o600)
    path.write_text(text)
    with pytest.raises(ConfigError):
        load_token_file(path)

"""Names of cases: any is kept as it is, and every folder is safe on every file system."""

from __future__ import annotations

import re

import cache_helpers
import pytest
from cache_helpers import a_campaign, a_confirmation, a_mask, an_image, relaxed
from hypothesis import given
from hypothesis import strategies as st

from clopa_annotator.cache.campaign_store import CampaignStore, CaseDraft
from clopa_annotator.cache.format import names
from clopa_annotator.errors import InputError
from clopa_annotator.types import Slot
from clopa_annotator.types.targets import key_of

store, tmp_path = cache_helpers.store, cache_helpers.tmp_path


@pytest.mark.parametrize(
    "case_id",
    [
        "with spaces ",
        "Ünïcödé 患者 🧠",
        "CON",
        "aux.nii",
        "..",
        "../../etc/passwd",
        "a/b\\c:d*?",
        "dots...",
        "x" * 300,
        "é" * 200,
    ],
)
def test_any_name_of_a_case_is_kept_as_it_is(store, case_id):
    store.add_case(case_id, an_image(1))
    store.confirm(a_confirmation(5, case_id))
    store.save_draft(CaseDraft(case_id, a_mask()))
    assert store.case(case_id).case_id == case_id
    assert store.load_draft(case_id).case_id == case_id
    folder = store.folder
    store.close()
    with CampaignStore.open(folder, writer=True) as again:
        assert again.verify().ok
        assert again.confirmed()[0].case_id == case_id


def test_names_that_differ_only_in_case_or_composition_are_different_cases(store):
    names = ["Brain", "brain", "BRAIN", "caf\u00e9", "cafe\u0301"]
    for number, name in enumerate(names):
        store.add_case(name, an_image(number))
        store.confirm(a_confirmation(number, name, confirmation_id=f"c{number}"))
    assert [r.case_id for r in store.confirmed()] == names
    folders = [p.name for p in (store.folder / "cases").iterdir()]
    assert len({f.lower() for f in folders}) == len(names) + 1


@pytest.mark.parametrize("case_id", ["", "  ", "a\nb", "a\x00b", "half \ud83e"])
def test_a_name_that_cannot_be_stored_is_refused(store, case_id):
    with pytest.raises(InputError):
        store.add_case(case_id, an_image())


def test_a_campaign_deep_in_the_file_system_works(tmp_path):
    deep = tmp_path.joinpath(*["a folder with a rather long name"] * 12)
    a_campaign(deep).close()
    with CampaignStore.open(deep) as store:
        assert len(store.confirmed()) == 2


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1))
@relaxed
def test_a_folder_name_is_safe_on_every_file_system(case_id):
    name = names.case_folder(case_id)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,39})-[0-9a-f]{16}", name)
    assert names.CASE_FOLDER.fullmatch(name)
    assert name.split("-")[0].upper() not in {"CON", "PRN", "AUX", "NUL"} or "-" in name


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), unique=True, max_size=20))
@relaxed
def test_different_cases_have_different_folders(case_ids):
    assert len({names.case_folder(c) for c in case_ids}) == len(case_ids)


@given(st.text())
@relaxed
def test_a_name_is_either_refused_or_can_be_written_and_shown_on_one_line(text):
    try:
        names.check_name(text, "The case id")
    except InputError:
        return
    assert text.encode("utf-8").decode("utf-8") == text
    assert text.strip()
    assert len(text.splitlines()) == 1


@given(
    st.text(st.characters(exclude_categories=("Cs",)), min_size=1), st.text(min_size=1), st.integers(1, 9999)
)
@relaxed
def test_a_drafts_name_says_its_case_and_slot(case_id, name, instance):
    for key in ("", key_of(name)):
        slot = Slot(key, instance)
        file = names.draft_file(case_id, slot)
        assert len(file) < 128
        assert names.draft_slot(file) == (names.case_folder(case_id), slot)


@pytest.mark.parametrize(
    "ending", ["", ".txt", "~.json", "~Liver.json", "~spleen~i0001.json", "~spleen~x.json"]
)
def test_what_no_draft_is_called_is_told(ending):
    assert names.draft_slot(names.case_folder("one") + ending) is None


@pytest.mark.parametrize("name", ["con", "AUX", "Lpt1", "nul"])
def test_no_target_is_kept_in_a_folder_that_windows_has_for_a_device(name):
    assert names.target_folder(key_of(name)) == f"{name.lower()}-2"

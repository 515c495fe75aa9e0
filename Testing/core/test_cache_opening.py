"""Creating and opening a campaign folder, to write or to read, also after a killed writer."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cache_helpers
import numpy as np
import pytest
from cache_helpers import a_campaign, a_confirmation, a_mask, a_store, an_image

from clopa_annotator.cache.campaign_store import CampaignManifest, CampaignStore, CaseDraft
from clopa_annotator.errors import ConfigError, ReadOnlyCampaign

sound, campaign, tmp_path = cache_helpers.sound, cache_helpers.campaign, cache_helpers.tmp_path


def test_what_was_confirmed_is_there_after_closing_and_opening(tmp_path):
    with a_campaign(tmp_path / "c") as store:
        before = store.cases(), store.confirmed(), store.manifest
    with CampaignStore.open(tmp_path / "c") as store:
        assert (store.cases(), store.confirmed(), store.manifest) == before
        assert not store.writable


def test_a_folder_without_a_campaign_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no campaign"):
        CampaignStore.open(tmp_path)


def test_a_campaign_is_not_made_over_another(tmp_path):
    a_store(tmp_path).close()
    with pytest.raises(ConfigError, match="already"):
        a_store(tmp_path)


@pytest.mark.parametrize(("name", "size"), [("", 1), ("x", 0)])
def test_a_manifest_without_name_or_size_is_refused(name, size):
    with pytest.raises(ConfigError):
        CampaignManifest(name, size)


def test_settings_are_kept_and_can_change_while_the_creation_stays(tmp_path):
    with a_store(tmp_path, settings={"k": [1, 2.5, "x"]}) as store:
        created = store.manifest.created
        store.update_manifest(dataclasses.replace(store.manifest, strategy="static", created="never"))
    with CampaignStore.open(tmp_path) as store:
        assert store.manifest.settings == {"k": [1, 2.5, "x"]}
        assert (store.manifest.strategy, store.manifest.created) == ("static", created)


def test_a_store_for_reading_changes_nothing(tmp_path):
    a_campaign(tmp_path).close()
    with CampaignStore.open(tmp_path) as reader:
        for change in (
            lambda: reader.add_case("x", an_image()),
            lambda: reader.confirm(a_confirmation(9, "case 0")),
            lambda: reader.reopen("case 0", ""),
            lambda: reader.save_draft(CaseDraft("case 0", a_mask())),
            lambda: reader.update_manifest(reader.manifest),
        ):
            with pytest.raises(ReadOnlyCampaign, match="for reading only"):
                change()


def test_readers_see_what_the_writer_confirms(tmp_path):
    with a_store(tmp_path) as writer, CampaignStore.open(tmp_path) as reader:
        writer.add_case("case one", an_image())
        ref = writer.confirm(a_confirmation())
        assert reader.confirmed() == (ref,)
        np.testing.assert_array_equal(reader.read_mask(ref), a_mask(1))


def test_an_unfinished_confirmation_of_a_killed_writer_is_entered_or_cleared(campaign):
    class Killed(BaseException):
        """Stands for the end of the process."""

    for step, entered in (("index committed", True), ("rename", False), ("index commit", None)):
        seen: list[str] = []

        def hook(at: str, path: Path, step: str = step, seen: list[str] = seen) -> None:
            seen.append(at)
            after_publication = "read back" in seen or step == "rename"
            if at == step and after_publication:
                raise Killed

        confirmation = a_confirmation(60, "case 0", confirmation_id=f"killed at {step}")
        store = CampaignStore.open(campaign, writer=True)
        store._layout.disk.hook = hook
        with pytest.raises(Killed):
            store.confirm(confirmation)
        store.close()
        with CampaignStore.open(campaign, writer=True) as again:
            ids = [again.record(v.ref).confirmation_id for v in again.versions("case 0")]
            assert (confirmation.confirmation_id in ids) == (entered is not False)
            assert not list((campaign / "staging").iterdir())
            assert again.verify().ok

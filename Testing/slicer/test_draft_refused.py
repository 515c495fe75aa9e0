"""A draft that the engine could not keep is not forgotten."""

from __future__ import annotations

from clopa_annotator.errors import StorageFull

CENTRE = (15, 20, 25)


def test_a_draft_that_was_refused_is_tried_again_without_a_further_change(driver, monkeypatch):
    monkeypatch.setattr("CLoPAAnnotatorLib.annotation.DraftKeeper.RETRY_AFTER_S", 0.2)
    driver.open_volume(driver.add_volume())
    case = driver.client.campaign.case("case")
    keep, tried = driver.client.save_draft, []

    def full(draft, slot=None):
        tried.append(draft)
        call = driver.client._calls.start("keep the draft")
        call.fail(StorageFull("The disk is full. Free some space and try again."))
        return call

    monkeypatch.setattr(driver.client, "save_draft", full)
    driver.click(driver.world(None, CENTRE))
    driver.until(lambda: len(tried) >= 2, "a second try")
    assert "disk is full" in driver.said and case.draft is None
    monkeypatch.setattr(driver.client, "save_draft", keep)
    driver.until(lambda: case.draft is not None, "the draft")
    assert case.draft.mask[CENTRE] == 1

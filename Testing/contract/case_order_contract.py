"""What every `EngineClient` says of the order of cases and of who confirmed; mixed into a test class.

A subclass provides the fixture ``make_client``, as for `engine_contract.EngineContract`.
"""

from __future__ import annotations

from engine_contract import an_image, confirm_case, wait_for, wait_until

from clopa_annotator.case_order import CaseSettings


class CaseOrderContract:
    """Tests of the settings by which cases come, and of what a list needs to be sorted."""

    def test_the_list_says_who_confirmed_and_when(self, client):
        wait_for(client, client.prefetch_case("case 0", an_image()))
        confirm_case(client, "case 1")
        open_one, done = wait_for(client, client.cases())
        assert (open_one.slots[0].annotator, open_one.slots[0].confirmed_at) == ("", "")
        assert done.slots[0].annotator == wait_for(client, client.statistics())[0].annotator
        assert done.slots[0].confirmed_at.startswith("20")

    def test_how_cases_come_is_kept_and_told(self, make_client):
        one, other = make_client(), make_client()
        told = []
        other.listen(lambda event: told.append(event.name))
        assert wait_for(other, other.connect()).cases.order == "added"
        seed = wait_for(one, one.connect()).cases.seed
        info = wait_for(one, one.set_case_settings(CaseSettings("most-certain", 0.25, seed=99)))
        assert info.cases == CaseSettings("most-certain", 0.25, seed)
        wait_until(other, lambda: "case_settings_changed" in told)
        assert wait_for(other, other.connect()).cases == info.cases

"""An engine that is killed while it suggests: what was acknowledged is there, what was torn is made again."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine_contract import an_image, confirm_case, wait_for, wait_until
from engine_process import SUGGESTING, EngineProcess
from engine_support import BETTER, a_model, make_campaign

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.client.http_client import HttpEngineClient
from clopa_annotator.types import CaseState

CASES = [f"case {number}" for number in range(4)]


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """One whose version 1 is in use."""
    folder = make_campaign(tmp_path / "campaign", a_model(tmp_path / "model"))
    with Campaign.open(folder, device="cpu") as opened:
        tensors = {n: p * 1.1 for n, p in opened.model.base_state().items() if "norm" in n}
        version = opened.registry.add_tensors(tensors, parent=0, parameter_group="in")
        opened.registry.promote(version.number, BETTER)
    (tmp_path / SUGGESTING).touch()
    return folder


def suggestions(campaign: Path) -> list[Path]:
    return sorted((campaign / "suggestions").glob("*/target-01.json"))


def test_nothing_acknowledged_is_lost_and_a_torn_suggestion_is_made_again(
    campaign: Path, tmp_path: Path
) -> None:
    engine = EngineProcess(campaign).start()
    client = HttpEngineClient(engine.url, engine.token, tmp_path / "spool")
    for number, case in enumerate(CASES):
        wait_for(client, client.prefetch_case(case, an_image(number)), 120.0)
    ref = confirm_case(client, CASES[0])
    wait_until(client, lambda: suggestions(campaign), 120.0)
    engine.kill()  # while it makes the next one
    client.close()
    torn = suggestions(campaign)[0]
    torn.write_bytes(torn.read_bytes()[:150])
    (torn.parent / ".target-01.json.part").write_bytes(b'{"half')

    engine = EngineProcess(campaign).start()
    client = HttpEngineClient(engine.url, engine.token, tmp_path / "spool")
    try:

        def ready() -> list[str]:
            rows = wait_for(client, client.cases(), 120.0)
            return [row.case_id for row in rows if row.slots[0].suggestion is not None]

        wait_until(client, lambda: ready() == CASES[1:], 120.0)
        rows = {row.case_id: row for row in wait_for(client, client.cases())}
        assert rows[CASES[0]].state is CaseState.CONFIRMED and rows[CASES[0]].versions == 1
        opened = wait_for(client, client.open_case(CASES[0], an_image(0)))
        assert opened.confirmed == ref
        opened = wait_for(client, client.open_case(CASES[2], an_image(2)))
        assert opened.suggestion.mark.version == 1
    finally:
        client.close()
        engine.kill()
    findings = list((campaign / "quarantine").glob("*/finding.json"))
    assert len(findings) <= 1, "the torn one, unless it was of the confirmed case"
    with Campaign.open(campaign, device="cpu", writer=False) as again:
        assert again.store.verify().ok

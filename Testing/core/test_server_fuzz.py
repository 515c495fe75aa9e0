"""A few hundred of the requests of ``Testing/chaos/fuzz.py``; the full number runs by its own command."""

from __future__ import annotations

import sys
from pathlib import Path

from engine_process import EngineProcess
from engine_support import a_model, make_campaign

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "chaos"))

from fuzz import Fuzzer


def test_malformed_requests_end_in_words(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path / "campaign", a_model(tmp_path / "model"))
    engine = EngineProcess(campaign).start()
    fuzzer = Fuzzer(engine.url, [engine.token], campaign / "logs" / "engine.log", engine.process.pid, seed=1)
    report = fuzzer.run(300)
    assert report.hangs == 0 and not report.unlogged, report.sentence()
    assert sum(report.statuses[s] for s in (400, 401, 404, 409, 410)) > 100
    assert engine.close_stdin() == 0
    assert not list(tmp_path.parent.glob("passwd"))

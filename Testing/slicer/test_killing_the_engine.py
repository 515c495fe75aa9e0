"""The engine is killed at random moments of the story: nothing confirmed is lost, no draft, and it goes on.

``CLOPA_CHAOS_ROUNDS`` and ``CLOPA_CHAOS_SEED`` ask for more, or other, moments; ``CLOPA_CHAOS_DRAFT_S`` for
another limit to the age of what the engine's disk holds of the unconfirmed work (a second is promised; the
default leaves room for a machine that is busy with other suites).
"""

from __future__ import annotations

import os
import random
import signal
import time

import numpy as np
import pytest
from driving import a_ball

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="the stand-in for the engine's interpreter is a shell script"),
]
ROUNDS = int(os.environ.get("CLOPA_CHAOS_ROUNDS", "6"))
SEED = int(os.environ.get("CLOPA_CHAOS_SEED", "4"))
DRAFT_S = float(os.environ.get("CLOPA_CHAOS_DRAFT_S", "5"))
PATIENCE_S = 120
SHAPE = (24, 32, 36)
REST_S = 4.0
"""After so long the newest mask is on the engine's disk, on a busy machine too."""
MOMENTS = (
    "during a click",
    "between clicks",
    "at rest",
    "during confirm",
    "during an episode",
    "during a swap",
)


@pytest.fixture
def story(engine, tmp_path):
    import slicer

    panel = engine
    (tmp_path / "images").mkdir()
    for number in range(4 * ROUNDS + 4):
        node = slicer.util.addVolumeFromArray(a_ball(SHAPE, seed=number))
        slicer.util.saveNode(node, str(tmp_path / "images" / f"case {number:03d}.nrrd"))
        slicer.mrmlScene.RemoveNode(node)
    story = Story(panel, tmp_path / "campaign")
    panel.ui.connectButton.click()
    story.wait(lambda: panel.workspace.isConnected, "the engine")
    panel.ui.casesPath.currentPath = str(tmp_path / "images")
    panel.ui.addCasesButton.click()
    yield story


class Story:
    """Annotates through widgets and mouse; remembers what was on the screen and what was said."""

    def __init__(self, driver, campaign):
        self.driver, self.campaign = driver, campaign
        self.random = random.Random(SEED)
        self.confirmed: dict[str, tuple[str, np.ndarray]] = {}
        self.screens: list[tuple[float, str, np.ndarray]] = []
        self.oldest_draft_s = 0.0
        self.held: np.ndarray | None = None
        view, show = driver.workspace.view, driver.workspace.view.showProposal
        said, opened = view.caseConfirmed, view.caseOpened

        def noted(mask, changed, slot):
            show(mask, changed, slot)
            note()

        def entered(case, isResumed):
            opened(case, isResumed)
            note()

        def note():
            self.screens.append((time.monotonic(), self.session.caseId, driver.workspace.currentMask()))

        def stored(ref, **said_of_it):
            self.confirmed[ref.case_id] = (ref.record_hash, driver.workspace.currentMask())
            said(ref, **said_of_it)

        view.showProposal, view.caseConfirmed, view.caseOpened = noted, stored, entered

    @property
    def session(self):
        return self.driver.session

    def wait(self, condition, what):
        self.driver.until(condition, what, PATIENCE_S)

    def settle(self):
        self.wait(lambda: self.session.isSettled, "the answer")

    def pause(self, most_s):
        self.driver.host.spin(self.random.uniform(0, most_s))

    def click(self):
        target = [self.random.randrange(2, n - 2) for n in SHAPE]
        positive = self.random.random() < 0.7
        view = self.random.choice(("Red", "Yellow", "Green"))
        self.driver.click(self.driver.world(None, target), view, button="Left" if positive else "Right")

    def open_next(self):
        before = self.session.caseId
        self.driver.ui.nextCaseButton.click()
        self.wait(lambda: self.session.caseId != before and self.session.isOpen, "the next case")
        self.settle()
        self.screens = [(time.monotonic(), self.session.caseId, self.driver.workspace.currentMask())]

    def annotate(self):
        """A fresh case with a click that left something to see."""
        self.open_next()
        while not self.driver.workspace.currentMask().any():
            self.click()
            self.settle()

    def confirm(self):
        self.driver.ui.confirmButton.click()
        self.wait(lambda: self.session.isConfirmed, "the confirmation")

    def phase(self):
        state = self.driver.widget.learningPanel.state
        return "" if state is None else state.phase

    # -- the moments ---------------------------------------------------------------------------------------

    def reach(self, moment):
        """Be in the middle of it."""
        self.annotate()
        if moment == "during a click":
            self.click()
            self.pause(0.12)
        elif moment == "between clicks":
            self.pause(1.5)
        elif moment == "at rest":
            self.driver.host.spin(REST_S)
        elif moment == "during confirm":
            self.driver.ui.confirmButton.click()
            self.pause(0.12)
        else:
            self.confirm()
            self.annotate()
            self.confirm()
            self.wait(lambda: self.driver.ui.trainButton.enabled, "the button")
            self.driver.ui.trainButton.click()
            if moment == "during an episode":
                self.annotate()
                self.wait(lambda: self.phase() in ("training", "checking", "promoted"), "the episode")
                self.pause(1.0)
            else:
                self.wait(lambda: self.phase() == "promoted", "the decision")
                self.driver.ui.nextCaseButton.click()
                self.pause(0.3)

    def kill(self):
        """End the process as a crash does; returns when."""
        process = self.driver.widget.campaignPanel.process
        os.kill(process.pid, signal.SIGKILL)
        return time.monotonic()

    # -- afterwards ----------------------------------------------------------------------------------------

    def check_disk(self, killed_s):
        """What the campaign's folder holds while no engine runs."""
        from clopa_annotator.cache.campaign_store import CampaignStore

        with CampaignStore.open(self.campaign, writer=False) as store:
            kept = {ref.case_id: ref for ref in store.confirmed()}
            for case, (record_hash, mask) in self.confirmed.items():
                assert kept[case].record_hash.startswith(record_hash), (
                    f"{case} was confirmed and is not there"
                )
                assert np.array_equal(store.read_mask(kept[case]), mask)
            case = self.session.caseId
            _, shown, mask = self.screens[-1]  # of the case before, while the next one is being opened
            if case and case not in kept and shown == case and mask.any():
                self.check_draft(store.load_draft(case), killed_s)

    def check_draft(self, draft, killed_s):
        held = np.zeros(SHAPE, np.uint8) if draft is None else draft.mask
        ages = [
            killed_s - later
            for (_, _, mask), later in zip(
                self.screens, [*(s[0] for s in self.screens[1:]), killed_s], strict=True
            )
            if np.array_equal(mask, held)
        ]
        assert ages, "the draft is none of the masks that were on the screen"
        self.held = held
        self.oldest_draft_s = max(self.oldest_draft_s, min(ages))

    def restart(self):
        driver = self.driver
        self.wait(lambda: driver.ui.connectButton.text == "Restart", "noticing")
        assert "What you confirmed is safe. Press Restart." in driver.ui.engineLabel.text
        before, prompts = (
            driver.workspace.currentMask() if self.session.isOpen else None,
            self.session.answered,
        )
        driver.ui.connectButton.click()
        self.wait(lambda: driver.workspace.isConnected and self.session.isOpen, "the engine")
        self.settle()
        if before is not None:
            assert np.array_equal(driver.workspace.currentMask(), before)
            assert len(self.session.answered) == len(prompts)

    def go_on(self):
        """The same case takes another click, unless it is found confirmed, and ends confirmed once."""
        case = self.session.caseId
        if self.session.isConfirmed and case not in self.confirmed:  # the answer was lost, the record was not
            assert self.driver.said.startswith(f"Confirmed: {case}, version 1, record ")
            self.confirmed[case] = (
                self.driver.said.split()[-1].rstrip("."),
                self.driver.workspace.currentMask(),
            )
        if not self.session.isConfirmed:
            self.click()
            self.settle()
            self.driver.ui.confirmButton.click()
            self.driver.host.spin(0.05)
            if not self.session.isBusy and not self.session.isConfirmed:
                self.driver.ui.confirmButton.click()  # nothing is marked, and that was asked about
            self.wait(lambda: self.session.isConfirmed, "the confirmation")


def test_killing_the_engine_at_any_moment_loses_nothing_and_it_goes_on(story):
    moments = [*MOMENTS, *(story.random.choice(MOMENTS) for _ in range(ROUNDS))][:ROUNDS]
    for moment in moments:
        story.reach(moment)
        newest, killed_s = story.screens[-1][2], story.kill()
        story.wait(lambda: not story.driver.widget.campaignPanel.process.isRunning, "the end")
        story.check_disk(killed_s)
        if moment == "at rest":
            assert np.array_equal(story.held, newest), "the draft is what was on the screen"
        story.restart()
        story.go_on()
    case_ids = [s.case_id for s in ask(story, story.driver.workspace.link.client.statistics())]
    assert sorted(case_ids) == sorted(story.confirmed), "every confirmation is there, once"
    print(f"{len(moments)} kills, oldest draft {story.oldest_draft_s:.2f} s, {len(case_ids)} confirmed")
    assert story.oldest_draft_s <= DRAFT_S


def ask(story, call):
    box = []
    call.then(box.append)
    story.wait(lambda: box, "the list")
    return box[0]

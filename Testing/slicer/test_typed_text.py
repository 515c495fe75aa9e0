"""What people type reaches the network and the disk checked: a sentence, and the panel goes on."""

from __future__ import annotations

import pytest

from clopa_annotator.errors import ConfigError
from clopa_annotator.testing.fake_campaign import FakeCampaign
from clopa_annotator.testing.fake_engine import FakeEngineClient

TYPED = {
    "half an address": ("http://[::1", "a-token-of-16-and-more", "is not a server's address"),
    "half an address without a scheme": ("[::1", "a-token-of-16-and-more", "is not a server's address"),
    "a port that is none": ("http://gpu:84430", "a-token-of-16-and-more", "is not a server's address"),
    "a token with an umlaut": ("http://gpu:8443", "Schlüssel-mit-Umlaut", "Copy it again"),
    "a line with the token": ("http://gpu:8443", "token: a-token-of-16", "Copy it again"),
}


def type_server(panel, url, token):
    panel.ui.serverRadio.setChecked(True)
    panel.ui.serverUrl.text, panel.ui.serverToken.text = url, token


@pytest.mark.parametrize("button", ["connectButton", "testButton"])
@pytest.mark.parametrize("kind", TYPED)
def test_what_no_request_can_carry_is_told_and_the_panel_is_usable_again(panel, kind, button):
    from CLoPAAnnotatorLib.panels.CampaignPanel import httpClient

    url, token, words = TYPED[kind]
    campaign = panel.widget.campaignPanel
    campaign.makeClient = httpClient
    type_server(panel, url, token)
    getattr(panel.ui, button).click()
    assert words in panel.ui.engineLabel.text and token not in panel.ui.engineLabel.text
    assert panel.ui.connectButton.text == "Connect" and panel.ui.serverUrl.enabled
    assert panel.ui.serverToken.enabled and not campaign._testTimer.isActive()
    campaign.makeClient = lambda *_args: FakeEngineClient(FakeCampaign())
    type_server(panel, "http://gpu:8443", "a-token-of-16-and-more")
    panel.ui.connectButton.click()
    panel.until(lambda: panel.workspace.isConnected, "the engine")


@pytest.mark.parametrize("button", ["connectButton", "testButton"])
def test_a_library_that_fails_in_its_own_way_does_not_leave_the_panel_connecting(panel, button):
    def fail(*_args):
        raise ImportError("DLL load failed while importing blosc2")

    panel.widget.campaignPanel.makeClient = fail
    type_server(panel, "http://gpu:8443", "a-token-of-16-and-more")
    getattr(panel.ui, button).click()
    assert "could not be prepared: DLL load failed" in panel.ui.engineLabel.text
    assert panel.ui.connectButton.text == "Connect" and panel.ui.serverUrl.enabled


PATHS = {
    "a name that is too long": "/" + "x" * 300,
    "the home of nobody": "~nobody-of-this-name/images",
    "a character that no name has": "/a\0b",
}


@pytest.mark.parametrize("kind", PATHS)
def test_a_path_that_no_computer_has_is_told(panel, kind):
    from CLoPAAnnotatorLib.engine.Places import campaignFolder, typedPath

    for make in (typedPath, campaignFolder):
        with pytest.raises(ConfigError, match="cannot be looked at"):
            make(PATHS[kind])
    panel.ui.campaignPath.currentPath = PATHS[kind]
    if panel.ui.campaignPath.currentPath != PATHS[kind]:
        assert "\0" in PATHS[kind]
        return  # what PythonQt hands on ends there, so that no user can type it
    panel.ui.connectButton.click()
    text = panel.ui.engineLabel.text
    assert "cannot be looked at" in text or "does not exist" in text
    panel.ui.casesPath.currentPath = PATHS[kind]
    panel.ui.addCasesButton.click()
    assert "cannot be looked at" in panel.said or "does not exist" in panel.said


def test_a_csv_file_with_a_name_that_no_file_has_is_told_with_its_line(tmp_path):
    from clopa_annotator.errors import DatasetError
    from CLoPAAnnotatorLib.scene.CaseSources import listCases

    table = tmp_path / "cases.csv"
    table.write_text(f"image\n{'x' * 300}.nii.gz\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"cases\.csv"):
        listCases(table)

"""Section 1 of the panel: which campaign, and where the engine runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
from clopa_annotator.client.engine_client import EngineClient
from clopa_annotator.errors import ClopaError, ConfigError, EngineError
from clopa_annotator.wire.messages import EngineInfo
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.engine.EngineProcess import EngineProcess, NewCampaign
from CLoPAAnnotatorLib.engine.EngineSetup import EngineSetup
from CLoPAAnnotatorLib.engine.HttpClient import MakeClient, httpClient
from CLoPAAnnotatorLib.engine.PackageInstall import PackageInstall
from CLoPAAnnotatorLib.engine.Places import campaignFolder
from CLoPAAnnotatorLib.engine.Removal import Removal
from CLoPAAnnotatorLib.engine.Settings import Settings
from CLoPAAnnotatorLib.panels.Style import MOODS, PRIMARY
from CLoPAAnnotatorLib.Texts import tr


class CampaignPanel:
    """Starts an engine here or connects to one elsewhere, and says how it stands."""

    def __init__(
        self, ui: Any, workspace: Workspace, settings: Settings, makeClient: MakeClient = httpClient
    ) -> None:
        self.ui, self._workspace, self._settings = ui, workspace, settings
        self.makeClient = makeClient
        self.process = EngineProcess(self._onReady, self._onEnded)
        self.setup = EngineSetup(ui, settings, self._onSetUp)
        self.address = ""
        self._isConnecting = False
        self.packages = PackageInstall(ui, self._say, workspace.attempt)
        self.removal = Removal(ui, settings, self._say, self._whyNotRemove, self.refresh)
        self.setup.whyNot = lambda: tr("Wait until removing has ended.") if self.removal.isRunning else ""
        self._testing: EngineClient | None = None
        self._testTimer = qt.QTimer()
        self._testTimer.setInterval(20)
        self._testTimer.connect("timeout()", self._pollTest)
        self._fill()
        ui.localRadio.connect("toggled(bool)", lambda _on: self.refresh())
        ui.connectButton.connect("clicked(bool)", lambda _=False: workspace.attempt(self.toggle))
        ui.testButton.connect("clicked(bool)", lambda _=False: workspace.attempt(self.test))
        ui.annotatorName.connect("textChanged(QString)", self._onName)
        workspace.listeners.engine.append(self.refresh)
        installed = tr("Choose a folder and press Connect.")
        self._say(
            installed if settings.python else tr("First press Set up… to install the engine, once."), "calm"
        )
        ui.casesSection.collapsed = ui.annotateSection.collapsed = True
        self.refresh()

    def _fill(self) -> None:
        ui, settings = self.ui, self._settings
        ui.campaignPath.filters = ui.campaignPath.Dirs
        ui.campaignPath.currentPath = self._workspace.state.campaign or settings.campaign
        ui.serverUrl.text, ui.serverToken.text = settings.serverUrl, settings.serverToken
        ui.annotatorName.text = settings.annotator
        self._workspace.annotator = settings.annotator
        (ui.serverRadio if settings.usesServer else ui.localRadio).checked = True
        for label, value in (
            (tr("bundled (small, for any computer)"), ""),
            (tr("nnInteractive, official"), "official"),
        ):
            ui.modelBox.addItem(label, value)
        for label, value in (
            (tr("thorough (10 to 30 minutes each time without a GPU)"), "thorough"),
            (tr("quick (up to 3 minutes, learns less)"), "quick"),
            (tr("as published (for a GPU)"), "paper"),
        ):
            ui.scheduleBox.addItem(label, value)

    def _onName(self, name: str) -> None:
        self._settings.annotator = self._workspace.annotator = str(name).strip()

    # -- connecting ----------------------------------------------------------------------------------------

    def toggle(self) -> None:
        """Connect, restart, disconnect or stop waiting: what the button says."""
        if self._isConnecting:
            self._stopConnecting()
        elif self._workspace.isConnected:
            self.disconnect()
        else:
            self.connectNow()

    def _stopConnecting(self) -> None:
        self._isConnecting = False
        self._workspace.link.drop()
        self.process.letGo()
        self._say(tr("Not connected."), "calm")
        self.refresh()

    def connectNow(self) -> None:
        """Start the engine, or connect to the server; refusals are raised in words."""
        if not self.packages.isReadyFor(self.connectNow):
            return
        self._settings.usesServer = bool(self.ui.serverRadio.checked)
        if self.ui.serverRadio.checked:
            url, token = self._server()
            self._settings.serverUrl, self._settings.serverToken = url, token
            self._use(url, token)
            return
        folder = self._folder()
        self._settings.campaign = self._workspace.state.campaign = str(folder)
        self._isConnecting = True
        self._say(tr("Starting the engine …"), "calm")
        self.process.start(self._settings.python, folder, self._newCampaign(folder.name))
        self.refresh()

    def _newCampaign(self, name: str) -> NewCampaign:
        model, schedule = (
            str(box.itemData(box.currentIndex) or "") for box in (self.ui.modelBox, self.ui.scheduleBox)
        )
        return NewCampaign(name, int(self.ui.campaignSize.value), model, schedule)

    def _folder(self) -> Path:
        try:
            folder = campaignFolder(str(self.ui.campaignPath.currentPath))
        except ConfigError as error:
            raise self._refuse(str(error)) from error
        if not self._settings.python:
            raise self._refuse(tr("The engine is not installed yet. Press Set up first."))
        return folder

    def _server(self) -> tuple[str, str]:
        url, token = str(self.ui.serverUrl.text).strip(), str(self.ui.serverToken.text).strip()
        if not url:
            raise self._refuse(tr("Type the server's address first, for instance https://gpu-server:8443."))
        if "://" not in url:
            url = f"http://{url}"
        if not token:
            raise self._refuse(tr("Type your token first; the owner of the server has it."))
        return url, token

    def _refuse(self, sentence: str) -> ConfigError:
        self._say(sentence, "warning")
        return ConfigError(sentence)

    def _onReady(self, url: str, token: str) -> None:
        self._workspace.attempt(lambda: self._use(url, token))

    def _use(self, url: str, token: str) -> None:
        self.address = url
        self._isConnecting = True
        self._say(tr("Connecting …"), "calm")
        try:
            client = self._client(url, token)
        except ClopaError as error:
            self._refused(error)
            return
        self._workspace.connectTo(client, self._connected, self._refused)
        self.refresh()

    def _client(self, url: str, token: str) -> EngineClient:
        """A client; whatever stands in its way is raised as a sentence, so that the panel can go on."""
        try:
            return self.makeClient(url, token, self._settings.spool, self._workspace.annotator)
        except ClopaError:
            raise
        except Exception as error:
            raise EngineError(tr("The connection could not be prepared: {why}").format(why=error)) from error

    def _refused(self, error: ClopaError) -> None:
        self._isConnecting = False
        self.process.letGo()
        self.refresh()
        self._say(str(error), "error")

    def _connected(self, info: EngineInfo) -> None:
        self._isConnecting = False
        self._say(
            tr("Connected: {device}. Model {model}, {licence}.").format(
                device=info.device, model=info.model_name, licence=info.licence
            ),
            "good",
        )
        self.ui.campaignSection.collapsed = True
        self.ui.casesSection.collapsed = self.ui.annotateSection.collapsed = False
        self.ui.learningSection.collapsed = not info.is_owner
        self.refresh()

    def _onEnded(self, sentence: str) -> None:
        self._isConnecting = False
        if self._workspace.isConnected or self._workspace.session.image is not None:
            self._workspace.engineLost()
        self._workspace.say(sentence, "error")
        self.ui.campaignSection.collapsed = False
        self.refresh()
        self._say(sentence, "error")

    def disconnect(self) -> None:
        """Leave the engine; one that runs here ends."""
        self._workspace.disconnect()
        self.process.letGo()
        self._say(tr("Not connected."), "calm")
        self.refresh()

    # -- testing a server ----------------------------------------------------------------------------------

    def test(self) -> None:
        """Ask the server who it is, without connecting."""
        if not self.packages.isReadyFor(self.test):
            return
        url, token = self._server()
        self._endTest()
        try:
            self._testing = self._client(url, token)
        except ClopaError as error:
            raise self._refuse(str(error)) from error
        self._testing.connect().then(self._testPassed, self._testFailed)
        self._say(tr("Asking {url} …").format(url=url), "calm")
        self._testTimer.start()

    def _testPassed(self, info: EngineInfo) -> None:
        said = tr("The server answers: campaign {name}, {device}.").format(
            name=info.campaign, device=info.device
        )
        if info.free_places == 0:
            said += " " + tr("It is full: all its places are taken. Try again when somebody has finished.")
        self._say(said, "warning" if info.free_places == 0 else "good")
        self._endTest()

    def _testFailed(self, error: ClopaError) -> None:
        self._say(str(error), "error")
        self._endTest()

    def _pollTest(self) -> None:
        if self._testing is not None:
            self._testing.poll(0.005)

    def _endTest(self) -> None:
        self._testTimer.stop()
        client, self._testing = self._testing, None
        if client is not None:
            client.close()

    # -- showing -------------------------------------------------------------------------------------------

    def _onSetUp(self, sentence: str, isGood: bool) -> None:
        self._say(sentence, "good" if isGood else "error")
        self.refresh()

    def _whyNotRemove(self) -> str:
        if self.process.isRunning or self._workspace.isConnected:
            return tr("An engine is in use. Press Disconnect first.")
        return tr("Wait until the installation has ended.") if self.setup.isRunning else ""

    def _say(self, sentence: str, mood: str) -> None:
        self.ui.engineLabel.text = sentence
        self.ui.engineLabel.setStyleSheet(MOODS[mood])

    def _offer(self) -> str:
        if self._isConnecting:
            return tr("Cancel")
        if self._workspace.isConnected:
            return tr("Disconnect")
        return tr("Restart") if self._workspace.isLost else tr("Connect")

    def refresh(self) -> None:
        """Offer what can be done now."""
        ui, workspace = self.ui, self._workspace
        if workspace.isLost:
            ui.campaignSection.collapsed = False
        server = bool(ui.serverRadio.checked)
        ui.localBox.setVisible(not server)
        ui.serverBox.setVisible(server)
        ui.connectButton.text = self._offer()
        for name in ("localRadio", "serverRadio", "localBox", "serverBox"):
            getattr(ui, name).enabled = not workspace.isConnected and not self._isConnecting
        self.setup.refresh()
        isMissing = not server and not self._settings.python
        ui.setupButton.setStyleSheet(PRIMARY if isMissing else "")
        ui.connectButton.setStyleSheet("" if isMissing else PRIMARY)
        if workspace.isConnected:
            ui.campaignSection.text = tr("1  Campaign: {name}, connected").format(
                name=workspace.info.campaign
            )
        else:
            lost = tr("1  Campaign: the engine does not answer") if workspace.isLost else tr("1  Campaign")
            ui.campaignSection.text = lost
        if workspace.isLost and not self._isConnecting:
            self._say(tr("The engine does not answer. What you confirmed is safe. Press Restart."), "error")

    def close(self) -> None:
        """The module goes away: end everything that was started."""
        self._endTest()
        self.setup.cancel()
        self.packages.cancel()
        self.removal.cancel()
        self._workspace.link.flush()
        self._workspace.link.drop()
        self.process.stop()

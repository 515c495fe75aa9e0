"""Modules about the machine, and about what learning leaves behind, that are tested with what uses them."""

from __future__ import annotations

from elsewhere import Elsewhere

WITH_MACHINES = (
    Elsewhere(
        "test_registry.py",
        "a base is where a registry begins",
        "clopa_annotator.registry.base",
        "clopa_annotator.registry.weights_registry",
    ),
    Elsewhere(
        "test_server_doctor.py",
        "a forecast is a part of what the doctor says",
        "clopa_annotator.server.memory_forecast",
    ),
    Elsewhere(
        "test_apple_gpu.py",
        "what a Mac takes is asked of everything that it runs through",
        "clopa_annotator.session.operators",
    ),
    Elsewhere(
        "test_episode_aside.py",
        "a plan is applied where an episode stands aside for clicks",
        "clopa_annotator.episode.hardware.fitting",
    ),
    Elsewhere(
        "test_campaign_probation.py",
        "a replay is what a probation is decided by",
        "clopa_annotator.training.replay",
    ),
    Elsewhere(
        "test_cli.py",
        "settings are what the commands make of them",
        "clopa_annotator.experiments.simulation_settings",
        "clopa_annotator.cli clopa_annotator.commands.campaign",
    ),
)

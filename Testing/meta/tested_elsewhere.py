"""Which test file tests which module of the core, where that is not plain from its name, and why there."""

from __future__ import annotations

from elsewhere import Elsewhere
from tested_with_data import WITH_DATA
from tested_with_engine import WITH_ENGINE
from tested_with_machines import WITH_MACHINES

ELSEWHERE = (
    *WITH_DATA,
    *WITH_ENGINE,
    *WITH_MACHINES,
    Elsewhere(
        "test_cli.py",
        "a command is what the command line prints and returns",
        "clopa_annotator.commands.campaign clopa_annotator.commands.episode "
        "clopa_annotator.commands.measuring "
        "clopa_annotator.commands.services clopa_annotator.commands.storage clopa_annotator.commands.output",
        "clopa_annotator.cli",
    ),
    Elsewhere(
        "test_cli.py",
        "options are what the commands make of them",
        "clopa_annotator.commands.options",
        "clopa_annotator.cli clopa_annotator.commands.campaign",
    ),
    Elsewhere(
        "test_cli_experts.py",
        "a command is what the command line prints and returns",
        "clopa_annotator.commands.experts",
        "clopa_annotator.cli",
    ),
    Elsewhere(
        "test_cache_format.py",
        "one document each, held against the specification together",
        "clopa_annotator.cache.format.record clopa_annotator.cache.format.mark",
    ),
    Elsewhere(
        "test_cache_prompt_json.py",
        "regions are a part of a prompt's document",
        "clopa_annotator.cache.format.regions",
    ),
    Elsewhere(
        "test_datasets.py",
        "one dataset is written, read and split by all of them",
        "clopa_annotator.datasets.generated clopa_annotator.datasets.msd clopa_annotator.datasets.phantoms "
        "clopa_annotator.datasets.volumes",
        "clopa_annotator.datasets",
    ),
    Elsewhere(
        "test_datasets.py",
        "one dataset is written, read and split by all of them",
        "clopa_annotator.datasets.lesions clopa_annotator.datasets.vessels",
    ),
    Elsewhere(
        "test_datasets.py",
        "the scene that lesions and vessels are drawn into",
        "clopa_annotator.datasets.scenery",
        "clopa_annotator.datasets.lesions",
    ),
    Elsewhere(
        "test_server_routes_cases.py",
        "a route's ends are a message and a handler",
        "clopa_annotator.server.http",
    ),
    Elsewhere(
        "test_campaign_people.py",
        "who may do what is asked over a real line",
        "clopa_annotator.server.app clopa_annotator.server.request_guard",
    ),
    Elsewhere(
        "test_campaign_people.py",
        "who may do what is asked over a real line",
        "clopa_annotator.server.routes_learning",
        "clopa_annotator.server.app",
    ),
    Elsewhere(
        "test_server_request_guard.py",
        "what nnInteractive's own routes are allowed is the guard's to say",
        "clopa_annotator.server.stock_routes clopa_annotator.wire.faults",
        "clopa_annotator.server.request_guard",
    ),
    Elsewhere(
        "test_wire_messages.py",
        "messages are what they are after their journey",
        "clopa_annotator.wire.codec clopa_annotator.wire.learning_messages "
        "clopa_annotator.server.event_stream",
    ),
    Elsewhere(
        "test_training_trainer_process.py",
        "what a job folder says, asked of one that the real trainer made",
        "clopa_annotator.campaign.episode_rows",
    ),
    Elsewhere(
        "test_training_signals.py",
        "what two processes leave each other in a folder",
        "clopa_annotator.training.processes",
    ),
    Elsewhere(
        "test_episode_sampling.py",
        "what happens to a sample on its way to the network",
        "clopa_annotator.episode.augmentation clopa_annotator.episode.training_cases",
    ),
    Elsewhere(
        "test_episode_job.py",
        "a job is what its epochs lead to",
        "clopa_annotator.episode.epochs",
    ),
    Elsewhere(
        "test_cli_cases.py",
        "a command is what the command line prints and returns",
        "clopa_annotator.commands.cases",
        "clopa_annotator.cli",
    ),
    Elsewhere(
        "test_cli_models.py",
        "a command is what the command line prints and returns",
        "clopa_annotator.commands.models",
        "clopa_annotator.cli",
    ),
    Elsewhere(
        "test_cache_opening.py",
        "whose files a folder holds is asked where it is opened or made",
        "clopa_annotator.cache.foreign",
        "clopa_annotator.cache.campaign_store clopa_annotator.cache.opening",
    ),
    Elsewhere(
        "test_compare.py",
        "a page is part of a comparison",
        "clopa_annotator.evaluation.comparison_page",
        "clopa_annotator.evaluation.compare",
    ),
    Elsewhere(
        "test_report.py",
        "a report is made of them",
        "clopa_annotator.evaluation.figures clopa_annotator.evaluation.orientation "
        "clopa_annotator.evaluation.pictures clopa_annotator.evaluation.slices",
    ),
    Elsewhere(
        "test_report.py",
        "a report is made of them",
        "clopa_annotator.evaluation.findings clopa_annotator.evaluation.page",
        "clopa_annotator.evaluation.report",
    ),
    Elsewhere(
        "test_evaluation_interaction_protocol.py",
        "curves and trajectories are what the protocol defines",
        "clopa_annotator.evaluation.curves clopa_annotator.evaluation.trajectory",
    ),
    Elsewhere(
        "test_tables.py",
        "a table is made of rows",
        "clopa_annotator.evaluation.rows clopa_annotator.evaluation.case_rows",
    ),
    Elsewhere(
        "test_experts_head.py",
        "settings are checked by what uses them",
        "clopa_annotator.experts.expert_settings",
    ),
    Elsewhere(
        "test_exporters.py",
        "every format is asked for in one way and read by another program",
        "clopa_annotator.exporters.dicomseg clopa_annotator.exporters.folders "
        "clopa_annotator.exporters.export_report",
        "clopa_annotator.exporters",
    ),
    Elsewhere(
        "test_dicomseg_rules.py",
        "the standard's tables and its conditions are held against one object",
        "clopa_annotator.exporters.dicom_conditions",
    ),
    Elsewhere(
        "test_training_job_index.py",
        "job folders are followed through a campaign",
        "clopa_annotator.training.job_index",
        "clopa_annotator.campaign.composition clopa_annotator.campaign.lines",
    ),
    Elsewhere(
        "test_experiments_permutations.py",
        "an experiment is one run of all of them",
        "clopa_annotator.experiments.measurement "
        "clopa_annotator.experiments.result_cache clopa_annotator.experiments.simulation",
    ),
    Elsewhere(
        "test_cli_learning_targets.py",
        "what a run gathers per target is what its summary says",
        "clopa_annotator.experiments.gathered",
        "clopa_annotator.cli clopa_annotator.commands.campaign clopa_annotator.experiments.simulation",
    ),
    Elsewhere(
        "test_campaign_lines.py",
        "a line's learning is seen in the live network",
        "clopa_annotator.campaign.live_line",
        "clopa_annotator.campaign.lines",
    ),
    Elsewhere(
        "test_models.py",
        "a model is chosen, fetched and found",
        "clopa_annotator.models.catalogue clopa_annotator.models.download",
        "clopa_annotator.models",
    ),
    Elsewhere(
        "test_cli_learning_targets.py",
        "what a run gathers per target is what its summary says",
        "clopa_annotator.experiments.gathered",
        "clopa_annotator.cli clopa_annotator.commands.campaign clopa_annotator.experiments.simulation",
    ),
    Elsewhere(
        "test_campaign_lines.py",
        "a line's learning is seen in the live network",
        "clopa_annotator.campaign.live_line",
        "clopa_annotator.campaign.lines",
    ),
    Elsewhere(
        "test_models.py",
        "a model is chosen, fetched and found",
        "clopa_annotator.models.presence",
    ),
    Elsewhere(
        "test_online_oaims.py",
        "what every strategy shares, in the one that uses all of it",
        "clopa_annotator.online.learner",
        "clopa_annotator.online.oaims",
    ),
    Elsewhere(
        "test_online_oaims.py",
        "a strategy's Protocol is passed by the strategies",
        "clopa_annotator.online.strategy",
    ),
    Elsewhere(
        "test_pretrain.py",
        "one volume goes through all of them",
        "clopa_annotator.pretrain.anatomy clopa_annotator.pretrain.fields "
        "clopa_annotator.pretrain.generator clopa_annotator.pretrain.network clopa_annotator.pretrain.peers "
        "clopa_annotator.pretrain.pretrain_settings "
        "clopa_annotator.pretrain.shapes clopa_annotator.pretrain.state "
        "clopa_annotator.pretrain.train clopa_annotator.pretrain.model_folder",
    ),
    Elsewhere(
        "test_pretrain.py",
        "one volume goes through all of them",
        "clopa_annotator.pretrain.appearance",
        "clopa_annotator.pretrain.generator",
    ),
    Elsewhere(
        "test_pretrain.py",
        "one volume goes through all of them",
        "clopa_annotator.pretrain.optimisation",
        "clopa_annotator.pretrain.train",
    ),
    Elsewhere(
        "test_registry.py",
        "the pointer follows the registry",
        "clopa_annotator.registry.pointer clopa_annotator.registry.weights_registry",
    ),
    Elsewhere(
        "test_session_local.py",
        "what a prediction that failed leaves",
        "clopa_annotator.session.failures",
        "clopa_annotator.session.local",
    ),
    Elsewhere(
        "test_server_start.py",
        "what a start is spared",
        "clopa_annotator.session.lean",
    ),
    Elsewhere(
        "test_suggesting_contract.py",
        "the Protocol is the contract",
        "clopa_annotator.session.suggesting clopa_annotator.testing.fake_suggester",
    ),
    Elsewhere(
        "test_episode_prompt_canvas.py",
        "patches are what nnInteractive's session cuts",
        "clopa_annotator.session.patches",
    ),
    Elsewhere(
        "test_suggestions_suggestion_folder.py",
        "a suggestion is what comes back from its folder",
        "clopa_annotator.types.suggestion",
        "clopa_annotator.types",
    ),
    Elsewhere(
        "test_session_contract.py",
        "the Protocol is the contract",
        "clopa_annotator.session.protocol clopa_annotator.testing.random_model",
    ),
    Elsewhere(
        "test_nninteractive_private_names.py",
        "what is used of nnInteractive is held to its source",
        "clopa_annotator.session.upstream",
    ),
)

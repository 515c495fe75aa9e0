"""Which test file tests which module of the core, where that is not plain from its name, and why there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Elsewhere:
    """Modules that a test file of another name tests.

    Attributes:
        by: the test file's name.
        why: why these have no file of their own.
        names: the modules' full names, with spaces between them.
        way: what the test file imports instead, which imports the next, and so on down to the modules.
    """

    by: str
    why: str
    names: str
    way: str = ""

    @property
    def modules(self) -> list[str]:
        """The modules."""
        return self.names.split()


OWN_UNDER_ANOTHER_NAME = {
    "clopa_annotator.cache.checking": "test_cache_repair.py",
    "clopa_annotator.checking": "test_training_candidate_evaluation.py",
    "clopa_annotator.engine.desk": "test_campaign_episode_controller.py",
    "clopa_annotator.engine.cases": "test_campaign_cases.py",
    "clopa_annotator.engine.exporting": "test_campaign_exporting.py",
    "clopa_annotator.engine.journal": "test_campaign_journal.py",
    "clopa_annotator.engine.weights": "test_campaign_live_weights.py",
    "clopa_annotator.engine.workbench": "test_client_operations.py",
    "clopa_annotator.engine.routes_cases": "test_server_routes_cases.py",
    "clopa_annotator.session.wire": "test_wire_session_messages.py",
    "clopa_annotator.registry.history": "test_registry_version_history.py",
}
"""Modules whose test file is all theirs, and named by what they do."""

ELSEWHERE = (
    Elsewhere(
        "test_cli.py",
        "a command is what the command line prints and returns",
        "clopa_annotator.commands.campaign clopa_annotator.commands.episode "
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
        "clopa_annotator.cache.record",
    ),
    Elsewhere(
        "test_cache_prompts.py",
        "regions are a part of a prompt's document",
        "clopa_annotator.cache.regions",
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
        "clopa_annotator.engine.http",
    ),
    Elsewhere(
        "test_engine_people.py",
        "who may do what is asked over a real line",
        "clopa_annotator.engine.app clopa_annotator.engine.guard",
    ),
    Elsewhere(
        "test_engine_people.py",
        "who may do what is asked over a real line",
        "clopa_annotator.engine.routes_learning",
        "clopa_annotator.engine.app",
    ),
    Elsewhere(
        "test_engine_client.py",
        "the session's contract is passed over a real line",
        "clopa_annotator.engine.routes_session",
        "clopa_annotator.engine.app",
    ),
    Elsewhere(
        "test_engine_guard.py",
        "what nnInteractive's own routes are allowed is the guard's to say",
        "clopa_annotator.engine.stock clopa_annotator.engine.faults",
        "clopa_annotator.engine.guard",
    ),
    Elsewhere(
        "test_engine_messages.py",
        "messages are what they are after their journey",
        "clopa_annotator.engine.codec clopa_annotator.engine.sse",
    ),
    Elsewhere(
        "test_engine_transport.py",
        "one line's parts: calls, workers, heartbeat",
        "clopa_annotator.engine.calls clopa_annotator.engine.lanes clopa_annotator.engine.watching",
    ),
    Elsewhere(
        "test_engine_trainer.py",
        "what a job folder says, asked of one that the real trainer made",
        "clopa_annotator.engine.episodes",
    ),
    Elsewhere(
        "test_engine_parts.py",
        "small parts of a served engine",
        "clopa_annotator.engine.logs",
    ),
    Elsewhere(
        "test_engine_signals.py",
        "what two processes leave each other in a folder",
        "clopa_annotator.engine.processes",
    ),
    Elsewhere(
        "test_engine_contract.py",
        "a stand-in passes the contract of what it stands for",
        "clopa_annotator.engine.fake clopa_annotator.engine.fake_campaign "
        "clopa_annotator.engine.fake_learning clopa_annotator.engine.protocol",
    ),
    Elsewhere(
        "test_engine_contract.py",
        "a stand-in passes the contract of what it stands for",
        "clopa_annotator.engine.fake_calls",
        "clopa_annotator.engine.fake",
    ),
    Elsewhere(
        "test_episode_sampling.py",
        "what happens to a sample on its way to the network",
        "clopa_annotator.episode.augmentation clopa_annotator.episode.cases",
    ),
    Elsewhere(
        "test_episode_job.py",
        "a job is what its epochs lead to",
        "clopa_annotator.episode.trainer",
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
        "test_protocol.py",
        "curves and trajectories are what the protocol defines",
        "clopa_annotator.evaluation.curves clopa_annotator.evaluation.trajectory",
    ),
    Elsewhere(
        "test_tables.py",
        "a table is made of rows",
        "clopa_annotator.evaluation.rows",
    ),
    Elsewhere(
        "test_experts_head.py",
        "settings are checked by what uses them",
        "clopa_annotator.experts.settings",
    ),
    Elsewhere(
        "test_exporters.py",
        "every format is asked for in one way and read by another program",
        "clopa_annotator.exporters.dicomseg clopa_annotator.exporters.folders "
        "clopa_annotator.exporters.report",
        "clopa_annotator.exporters",
    ),
    Elsewhere(
        "test_pipeline_jobs.py",
        "job folders are followed through a campaign",
        "clopa_annotator.jobs",
        "clopa_annotator.pipeline",
    ),
    Elsewhere(
        "test_permutations.py",
        "an experiment is one run of all of them",
        "clopa_annotator.measurement clopa_annotator.recall clopa_annotator.simulation",
    ),
    Elsewhere(
        "test_models.py",
        "a model is chosen, fetched and found",
        "clopa_annotator.models.catalogue clopa_annotator.models.download",
        "clopa_annotator.models",
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
        "clopa_annotator.online.protocol",
    ),
    Elsewhere(
        "test_pretrain.py",
        "one volume goes through all of them",
        "clopa_annotator.pretrain.anatomy clopa_annotator.pretrain.fields "
        "clopa_annotator.pretrain.generator clopa_annotator.pretrain.network clopa_annotator.pretrain.peers "
        "clopa_annotator.pretrain.settings clopa_annotator.pretrain.shapes clopa_annotator.pretrain.state "
        "clopa_annotator.pretrain.train clopa_annotator.pretrain.checkpoint",
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
        "clopa_annotator.pretrain.trainer",
        "clopa_annotator.pretrain.train",
    ),
    Elsewhere(
        "test_registry.py",
        "the pointer follows the registry",
        "clopa_annotator.registry.pointer clopa_annotator.registry.store",
    ),
    Elsewhere(
        "test_session_local.py",
        "what a prediction that failed leaves",
        "clopa_annotator.session.failures",
        "clopa_annotator.session.local",
    ),
    Elsewhere(
        "test_engine_start.py",
        "what a start is spared",
        "clopa_annotator.session.lean",
    ),
    Elsewhere(
        "test_session_contract.py",
        "the Protocol is the contract",
        "clopa_annotator.session.protocol clopa_annotator.session.random_model",
    ),
    Elsewhere(
        "test_engine_client.py",
        "the session's contract is passed over a real line",
        "clopa_annotator.session.remote clopa_annotator.engine.host",
    ),
    Elsewhere(
        "test_nninteractive_private_names.py",
        "what is used of nnInteractive is held to its source",
        "clopa_annotator.session.upstream",
    ),
    *(Elsewhere(by, "a file of its own", module) for module, by in OWN_UNDER_ANOTHER_NAME.items()),
)

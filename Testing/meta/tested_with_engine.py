"""Which test file tests which module of the engine, of its client and of their stand-ins, and why there."""

from __future__ import annotations

from elsewhere import Elsewhere

WITH_ENGINE = (
    Elsewhere(
        "test_engine_client.py",
        "the session's contract is passed over a real line",
        "clopa_annotator.server.routes_session",
        "clopa_annotator.server.app",
    ),
    Elsewhere(
        "test_client_transport.py",
        "one line's parts: calls, workers, heartbeat",
        "clopa_annotator.client.calls "
        "clopa_annotator.client.call_workers clopa_annotator.client.event_follower",
    ),
    Elsewhere(
        "test_server_parts.py",
        "small parts of a served engine",
        "clopa_annotator.server.logs",
    ),
    Elsewhere(
        "test_engine_contract.py",
        "a stand-in passes the contract of what it stands for",
        "clopa_annotator.testing.fake_engine clopa_annotator.testing.fake_campaign "
        "clopa_annotator.testing.fake_learning clopa_annotator.client.engine_client",
    ),
    Elsewhere(
        "test_engine_contract.py",
        "parts of the stand-in engine",
        "clopa_annotator.testing.fake_steering clopa_annotator.testing.fake_review",
        "clopa_annotator.testing.fake_engine",
    ),
    Elsewhere(
        "test_engine_contract.py",
        "parts of the stand-in campaign",
        "clopa_annotator.testing.fake_cases",
        "clopa_annotator.testing.fake_campaign",
    ),
    Elsewhere(
        "test_client_operations.py",
        "a delivery is what becomes of a client's confirmation",
        "clopa_annotator.client.deliveries",
        "clopa_annotator.client.operations",
    ),
    Elsewhere(
        "test_engine_contract.py",
        "a stand-in passes the contract of what it stands for",
        "clopa_annotator.testing.fake_calls",
        "clopa_annotator.testing.fake_engine clopa_annotator.testing.fake_steering "
        "clopa_annotator.testing.fake_review clopa_annotator.testing.fake_transfers",
    ),
    Elsewhere(
        "test_engine_client.py",
        "the client is held to the contract that the in-process engine passes too",
        "clopa_annotator.client.http_client",
    ),
    Elsewhere(
        "test_engine_client.py",
        "the part of the client that is about reviewing, held to the contract with the engine",
        "clopa_annotator.client.review_calls",
        "clopa_annotator.client.http_client",
    ),
    Elsewhere(
        "test_engine_client.py",
        "the contract's part about reviewing, which fake and client fulfil",
        "clopa_annotator.client.reviewing_client",
        "clopa_annotator.client.http_client clopa_annotator.client.engine_client",
    ),
    Elsewhere(
        "test_review_agreement.py",
        "the report's part shows what is measured there",
        "clopa_annotator.review.agreement_section",
    ),
    Elsewhere(
        "test_server_routes_cases.py",
        "what the routes need is what they are given",
        "clopa_annotator.server.case_host",
        "clopa_annotator.server.routes_cases",
    ),
    Elsewhere(
        "test_engine_client.py",
        "the part of the client that is about learning",
        "clopa_annotator.client.learning_calls",
        "clopa_annotator.client.http_client",
    ),
    Elsewhere(
        "test_engine_client.py",
        "the session's contract is passed over a real line",
        "clopa_annotator.client.remote_session clopa_annotator.campaign.engine",
    ),
    Elsewhere(
        "test_idle_suggestion_desk.py",
        "what is made, for whom and when is one story, told from the desk",
        "clopa_annotator.campaign.idle.coming clopa_annotator.campaign.idle.making "
        "clopa_annotator.campaign.idle.wanted",
        "clopa_annotator.campaign.idle.suggestion_desk",
    ),
    Elsewhere(
        "test_idle_suggestion_desk.py",
        "what is ready and how eager the desk is, told in the same story",
        "clopa_annotator.campaign.idle.ready_suggestions clopa_annotator.campaign.idle.surroundings",
    ),
    Elsewhere(
        "test_suggestions_contract.py",
        "an engine's suggestions, asked for over a real line",
        "clopa_annotator.campaign.idle.engine_side clopa_annotator.campaign.idle.suggested_cases",
        "clopa_annotator.campaign.engine",
    ),
    Elsewhere(
        "test_suggestions_contract.py",
        "the routes, asked over a real line",
        "clopa_annotator.server.routes_suggestions",
        "clopa_annotator.server.app",
    ),
    Elsewhere(
        "test_suggestions_contract.py",
        "the stand-in is held to what the engine does",
        "clopa_annotator.testing.fake_suggestions",
        "clopa_annotator.testing.fake_campaign",
    ),
)

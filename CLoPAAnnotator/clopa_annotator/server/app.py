"""The engine's web application: nnInteractive's own server, our routes beside it, one guard around both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import torch
from fastapi import FastAPI
from starlette.routing import BaseRoute

from clopa_annotator.campaign.engine import Engine
from clopa_annotator.server.event_stream import events_route
from clopa_annotator.server.request_guard import RequestGuard, RequestGuardSettings
from clopa_annotator.server.routes_cases import CaseRoutes
from clopa_annotator.server.routes_learning import LearningRoutes
from clopa_annotator.server.routes_review import ReviewRoutes
from clopa_annotator.server.routes_session import SessionRoutes
from clopa_annotator.server.routes_suggestions import SuggestionRoutes
from clopa_annotator.server.routes_transfers import TransferRoutes
from clopa_annotator.training.freed_memory import give_back_freed_memory
from clopa_annotator.wire.tokens import TokenBook

SWEEP_S = 30.0


def make_engine_app(engine: Engine, book: TokenBook, settings: RequestGuardSettings | None = None) -> FastAPI:
    """Compose the application.

    Args:
        engine: what is served; closing it is the caller's.
        book: tokens that are let in. nnInteractive's own token check is left off: it knows one token and
            compares it in variable time.
        settings: what a request may cost.
    """
    # Here, after the campaign has imported nnInteractive without what a session does not use (`lean`).
    from nnInteractive.inference.server.app import make_app

    # Where one token stands for whoever sits at the computer, the client says who that is.
    settings = settings or RequestGuardSettings(trusts_names=engine.settings.export_anywhere)
    model = engine.campaign.model
    app: FastAPI = make_app(
        artifacts=model.artifacts,
        device=model.device,
        max_sessions=engine.settings.stock_sessions,
        idle_timeout_seconds=engine.settings.session_expiry_s,
        torch_n_threads=torch.get_num_threads(),
        api_key=None,
        gpu_executor=engine.prediction,
    )
    stopping = asyncio.Event()
    app.state.stopping = stopping
    app.router.routes.extend(_routes(engine, settings, stopping))
    app.router.lifespan_context = _lifespan(app, engine)
    app.add_middleware(RequestGuard, book=book, settings=settings, signal=engine.watch)
    return app


def _routes(engine: Engine, settings: RequestGuardSettings, stopping: asyncio.Event) -> list[BaseRoute]:
    reviews = engine.cases.reviews(engine.campaign.folder)
    engine.targets.is_blind = reviews.readings.is_blind
    return [
        *SessionRoutes(engine).routes(settings.limits),
        *CaseRoutes(engine.cases, reviews.returned, reviews.seen_by).routes(settings.limits),
        *ReviewRoutes(reviews).routes(settings.limits),
        *LearningRoutes(engine).routes(settings.limits),
        *SuggestionRoutes(engine.suggestions, engine.campaign).routes(settings.limits),
        *TransferRoutes(engine.exports, engine.intake).routes(settings.limits),
        events_route(engine.events, stopping),
    ]


def _lifespan(app: FastAPI, engine: Engine):  # type: ignore[no-untyped-def]
    """nnInteractive's own lifespan with ours inside it."""
    theirs = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(inner: FastAPI) -> AsyncIterator[object]:
        async with theirs(inner) as state:
            sweeper = asyncio.create_task(_sweep(engine))
            try:
                yield state
            finally:
                app.state.stopping.set()
                sweeper.cancel()

    return lifespan


async def _sweep(engine: Engine) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        await asyncio.get_running_loop().run_in_executor(None, _tidy, engine)


def _tidy(engine: Engine) -> None:
    """Close the sessions of people who went away, and give back the memory that clicks left behind."""
    engine.sessions.sweep()
    give_back_freed_memory()

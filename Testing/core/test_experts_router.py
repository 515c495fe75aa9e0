"""The router: members go to their expert, strangers to nobody."""

from __future__ import annotations

import numpy as np
from tiny_experts import a_router, cases_of


def test_members_are_sent_to_their_expert_and_strangers_to_nobody() -> None:
    router, centers = a_router()
    for n in range(3):
        routes = [router.route(x) for x in cases_of(centers[n], 40, 100 + n)]
        right = [r.expert == f"expert-{n}" for r in routes]
        assert np.mean(right) >= 0.85
        assert all(0 < r.confidence <= 1 for r in routes if r.expert)
    strangers = [router.route(x) for x in cases_of(centers[3], 40, 200)]
    assert np.mean([r.expert is None for r in strangers]) > 0.95
    assert "None fits" in strangers[0].reason and strangers[0].confidence == 0


def test_with_one_expert_alone_strangers_are_still_strangers() -> None:
    router, centers = a_router(experts=1)
    assert np.mean([router.route(x).expert == "expert-0" for x in cases_of(centers[0], 40, 5)]) > 0.9
    assert np.mean([router.route(x).expert is None for x in cases_of(centers[1], 40, 6)]) > 0.95


def test_an_expert_with_too_few_cases_is_not_proposed() -> None:
    router, centers = a_router(cases=2)
    route = router.route(centers[0])
    assert route.expert is None and "enough cases" in route.reason

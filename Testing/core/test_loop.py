"""The interaction window: what it feeds the network, what it accumulates, when it ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from clopa_annotator.episode.loop import WindowSample, WindowSettings, run_window
from clopa_annotator.episode.loss import dice_and_cross_entropy
from clopa_annotator.episode.prompt_canvas import EncodingRules
from clopa_annotator.episode.prompting import PointPrompter
from clopa_annotator.errors import ConfigError, EpisodeCancelled, GeometryError, NonFiniteLoss
from clopa_annotator.session.patches import crop_padded

RULES = EncodingRules((16, 16, 16), point_radius=2)


class Reader(nn.Module):
    """Says "target" where the image is bright; remembers what it was shown."""

    def __init__(self, offset: float = 0.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.offset = offset
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        margin = self.scale * (x[:, 0] - self.offset)
        return torch.stack([-margin, margin], 1)


def a_sample(shape: tuple[int, int, int] = (12, 20, 14), seed: int = 0) -> WindowSample:
    rng = np.random.default_rng(seed)
    target = torch.zeros(shape, dtype=torch.bool)
    target[3:8, 5:12, 4:9] = True
    image = torch.where(target, 1.0, -1.0) + torch.from_numpy(0.1 * rng.standard_normal(shape, np.float32))
    return WindowSample(image, target)


def window(network: nn.Module, samples: list[WindowSample], seed: int = 0, **kw: object):  # type: ignore[no-untyped-def]
    call = {k: kw.pop(k) for k in ("on_microstep", "on_step") if k in kw}
    options = WindowSettings(**{"rules": RULES, **kw})  # type: ignore[arg-type]
    return run_window(
        network, samples, PointPrompter(), np.random.default_rng(seed), options, backward=True, **call
    )


def test_a_perfect_prediction_ends_its_sample_and_the_others_go_on() -> None:
    wrong = WindowSample(a_sample().image * -1, a_sample().target)
    network = Reader()
    result = window(network, [a_sample(), wrong], steps=4)
    assert [len(x) for x in network.seen] == [2, 1, 1, 1]
    assert [d[0] for d in result.dice] == [1.0] * 4
    assert len(result.losses) == 4
    # The survivor keeps its own image (the research code went on with its neighbour's).
    assert all(torch.isin(x[0, 0][x[0, 0] != 0], wrong.image).all() for x in network.seen[1:])


def test_a_window_ends_when_everything_is_right() -> None:
    result = window(Reader(), [a_sample(), a_sample(seed=1)], steps=6)
    assert len(result.losses) == 1
    assert result.dice == ((1.0, 1.0),)


def test_every_step_sees_the_last_prediction_and_more_prompts() -> None:
    network = Reader(offset=1.0)
    result = window(network, [a_sample()], steps=3)
    first, second, third = (x[0] for x in network.seen)
    assert first[1].sum() == 0
    assert second[1].sum() > 0
    assert (first[4].max(), first[5].max()) == (1.0, pytest.approx(0.98, abs=1e-3))
    assert (third[4] > 0).sum() >= (first[4] > 0).sum()
    assert len(result.losses) == 3
    assert 0 < result.dice[0][0] < 1


def test_gradients_are_the_mean_over_steps_and_samples_whatever_the_micro_batch() -> None:
    samples = [a_sample(), a_sample((20, 12, 16), seed=1), a_sample((14, 14, 14), seed=2)]
    gradients = []
    for micro_batch in (0, 1, 2):
        network = Reader(offset=1.0)
        window(network, samples, steps=3, micro_batch=micro_batch)
        gradients.append(float(network.scale.grad))  # type: ignore[arg-type]
    assert gradients[0] != 0
    np.testing.assert_allclose(gradients, gradients[0], rtol=1e-5)


def test_no_gradient_flows_through_the_predictions_in_between() -> None:
    network = Reader(offset=1.0)
    window(network, [a_sample()], steps=3)
    total = float(network.scale.grad)  # type: ignore[arg-type]
    alone = 0.0
    for x in network.seen:
        again = Reader(offset=1.0)
        # Where the patch lay is recovered from the image channel, so that the loss can be taken anew.
        target = crop_padded(a_sample().target, _where(x[0, 0], a_sample().image))
        (dice_and_cross_entropy(again(x), target[None]).sum() / 3).backward()
        alone += float(again.scale.grad)  # type: ignore[arg-type]
    assert total == pytest.approx(alone, rel=1e-4)


def _where(patch: Tensor, image: Tensor):  # type: ignore[no-untyped-def]
    """The box whose zero-padded crop of the image is this patch."""
    filled = (patch != 0).nonzero()
    low, high = filled.min(0).values, filled.max(0).values
    block = patch[tuple(slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))]
    size = block.shape
    for k in range(image.shape[0] - size[0] + 1):
        for j in range(image.shape[1] - size[1] + 1):
            for i in range(image.shape[2] - size[2] + 1):
                if torch.equal(image[k : k + size[0], j : j + size[1], i : i + size[2]], block):
                    start = [k - int(low[0]), j - int(low[1]), i - int(low[2])]
                    return tuple((s, s + 16) for s in start)
    raise AssertionError("the patch is not part of the image")


def test_measuring_leaves_no_gradient() -> None:
    network = Reader(offset=1.0)
    options = WindowSettings(steps=2, rules=RULES)
    run_window(network, [a_sample()], PointPrompter(), np.random.default_rng(0), options, backward=False)
    assert network.scale.grad is None


def test_the_patch_can_stay_in_the_middle() -> None:
    network = Reader(offset=1.0)
    sample = a_sample((16, 16, 16))
    window(network, [sample], steps=3, follow=False)
    assert all(torch.equal(x[0, 0], sample.image) for x in network.seen)


def test_a_caller_can_stop_between_micro_steps() -> None:
    calls = []

    def stop() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise EpisodeCancelled("stopped")

    with pytest.raises(EpisodeCancelled):
        window(Reader(offset=1.0), [a_sample()], steps=5, on_microstep=stop)
    assert len(calls) == 2


def test_every_finished_step_is_told() -> None:
    told: list[int] = []
    window(Reader(offset=1.0), [a_sample()], steps=3, on_step=told.append)
    assert told == [0, 1, 2]


def test_a_loss_that_is_not_finite_is_an_error_in_words() -> None:
    network = Reader()
    with torch.no_grad():
        network.scale.fill_(float("nan"))
    with pytest.raises(NonFiniteLoss, match="learning rate"):
        window(network, [a_sample()], steps=2)


def test_the_same_seed_repeats_the_window() -> None:
    results = [window(Reader(offset=1.0), [a_sample()], seed=7, steps=4) for _ in range(2)]
    assert results[0] == results[1]


def test_settings_and_samples_are_checked() -> None:
    with pytest.raises(ConfigError):
        WindowSettings(steps=0)
    with pytest.raises(GeometryError, match="grid"):
        WindowSample(torch.zeros(3, 3, 3), torch.zeros(3, 3, 4))


def test_a_share_of_the_samples_begins_without_a_prompt_and_clicks_correct_what_came() -> None:
    network = Reader(offset=1.5)  # sees nothing as target, so that something is left to correct
    window(network, [a_sample((12, 14, 14), seed=n) for n in range(40)], steps=2, unprompted=0.5)
    prompts = network.seen[0][:, 2:].flatten(1).any(dim=1)
    assert 10 < int(prompts.sum()) < 30
    assert network.seen[1][:, 2:].flatten(1).any(dim=1).all(), "the second step has clicks everywhere"


def test_without_a_share_nothing_changes_and_nothing_is_drawn_for_it() -> None:
    plain, none = Reader(1.5), Reader(1.5)
    window(plain, [a_sample()], steps=3)
    window(none, [a_sample()], steps=3, unprompted=0.0)
    assert all(torch.equal(a, b) for a, b in zip(plain.seen, none.seen, strict=True))


def test_a_large_image_is_seen_from_afar_then_closely_then_with_clicks() -> None:
    network = Reader(offset=1.5)
    window(network, [a_sample((30, 40, 28))], steps=3, unprompted=1.0)
    afar, close, clicked = network.seen
    assert not afar[:, 1:].any() and not close[:, 2:].any() and clicked[:, 2:].any()
    assert afar[0, 0].unique().numel() > close[0, 0].numel() // 2, "a scaled image has values of its own"

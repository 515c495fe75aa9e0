"""The private parts of nnInteractive 2.6 that the session's `upstream`, `background` and `model` use.

When this fails after an upgrade, read upstream's change of that part before touching the pin.
"""

from __future__ import annotations

import inspect
from importlib.metadata import version

import pytest
import torch
from nnInteractive.inference import inference_session
from nnInteractive.inference.inference_session import nnInteractiveInferenceSession
from nnInteractive.interaction.point import PointInteraction_stub
from nnInteractive.utils import bboxes, crop

from clopa_annotator.session import upstream

METHODS = {
    "_undoable_interaction": ("self",),
    "_finish_preprocessing_and_initialize_interactions": ("self",),
    "_record_interactions_channels": ("self", "channels", "array_replaced"),
    "_record_target_region": ("self", "spatial_slicer"),
    "_record_interactions_region": ("self", "channel", "spatial_slicer", "current"),
    "_compress_pre_image": ("self", "region"),
    "_restore_undo_record": ("self", "record"),
    "_is_interaction_supported": ("self", "interaction_name"),
    "_write_interactions_channel": ("self", "channel_idx", "value"),
    "_get_prev_seg_channel": ("self",),
    "_build_network_input": ("self", "prediction_center", "zoom_out_factor"),
    "_predict": ("self", "force_full_refine"),
    "_plan_refinement_bboxes": ("self", "pred", "scaled_bbox", "force_full_refine"),
    "_build_refinement_local_cache": ("self", "bboxes_ordered"),
    "_compute_local_diff_map": ("self", "pred", "scaled_bbox", "planning_bbox"),
    "_compute_prev_seg_positive_bbox": ("self",),
    "_get_dilation_channels_for_resample": ("self",),
    "_load_capability_and_runtime_defaults": ("self", "model_training_output_dir"),
    "_apply_capability": ("self", "capability"),
    "_load_license": ("model_training_output_dir", "plans", "checkpoint"),
    "reset_interactions": ("self", "_preserve_undo"),
    "initialize_from_loaded_artifacts": ("self", "artifacts"),
    "add_point_interaction": (
        "self",
        "coordinates",
        "include_interaction",
        "run_prediction",
        "override_capability_checks",
    ),
    "add_initial_seg_interaction": ("self", "initial_seg", "run_prediction", "override_capability_checks"),
}
ATTRIBUTES = (
    "interactions",
    "target_buffer",
    "preprocessed_image",
    "preprocess_future",
    "executor",
    "current_interaction_intensity",
    "new_interaction_centers",
    "new_interaction_zoom_out_factors",
    "_undo_log",
    "_dirty_channels",
)


def test_the_installed_version_is_the_pinned_one():
    assert version("nnInteractive").startswith("2.6.")


@pytest.mark.parametrize("name", METHODS)
def test_a_private_method_takes_what_we_give_it(name):
    assert tuple(inspect.signature(getattr(nnInteractiveInferenceSession, name)).parameters) == METHODS[name]


def test_a_new_session_has_the_private_attributes():
    session = nnInteractiveInferenceSession(torch.device("cpu"), torch_n_threads=torch.get_num_threads())
    assert [name for name in ATTRIBUTES if not hasattr(session, name)] == []


def test_the_undo_log_is_begun_in_one_place_and_its_records_have_four_parts():
    """`Core` overrides that place; a second one would split a step's log."""
    source = inspect.getsource(inference_session)
    assert source.count("self._begin_undo_log()") == 1
    appends = [line for line in source.splitlines() if '_undo_log["records"].append((' in line]
    kinds = sorted({line.split('append(("')[1].split('"')[0] for line in appends})
    assert kinds == ["interactions", "interactions_array", "target", "zero_channel"]


def test_the_network_is_asked_in_the_two_steps_that_two_class_logits_understand():
    source = inspect.getsource(inference_session)
    assert source.count("self.network(") == source.count("[0].argmax(0).detach()") + 1  # the other is warmup


def test_the_global_random_state_is_numpys_and_drawn_from_in_one_place():
    assert inspect.getsource(bboxes).count("random.choice") == 1
    assert "import random" not in inspect.getsource(bboxes)


def test_print_is_what_upstream_calls_and_point_prompts_are_made_with_two_arguments():
    for module in (inference_session, crop):
        assert "print(" in inspect.getsource(module)
        assert vars(module)["print"] is upstream._log_instead_of_print
    assert list(inspect.signature(PointInteraction_stub).parameters)[:2] == [
        "point_radius",
        "use_distance_transform",
    ]

"""Mistakes with the losses of preferences, policies, distillation and generative models: what each is told."""

import re

import jax
import numpy as np
import pytest

import jaxloss

ONES, ROWS = np.ones(4, np.float32), np.full((4, 3), -0.5, np.float32)
SOME = np.array([[0, 1], [1, 2], [2, 0], [0, 2]])


def call(loss, *arrays, **options):
    return lambda: loss(*arrays, **options)


MISTAKES = {
    # Shapes: a column of rewards, an advantage for each answer where tokens are due.
    "dpo-column": (
        ValueError,
        call(jaxloss.dpo, ONES[:, None], ONES, ONES, ONES),
        ("dpo: ", "chosen_log_probabilities", "(4, 1) and (4,)", "squeeze(-1)"),
    ),
    "dpo-of-tokens": (
        ValueError,
        call(jaxloss.dpo, ROWS, ROWS, ONES, ONES),
        ("dpo: ", "reference_chosen_log_probabilities", "(4, 3)", "(4,)", "nothing is broadcast"),
    ),
    "dpo-without-reference": (TypeError, call(jaxloss.dpo, ONES, ONES), ("dpo: ", "missing", "reference")),
    "ppo-advantage-of-an-answer": (
        ValueError,
        call(jaxloss.ppo_clip, ROWS, ROWS, ONES),
        ("ppo_clip: ", "advantages", "(4, 3)", "(4,)", "nothing is broadcast"),
    ),
    "gspo-advantage-of-tokens": (
        ValueError,
        call(jaxloss.gspo, ROWS, ROWS, ROWS),
        ("gspo: ", "advantage", "(4, 3)"),
    ),
    "gspo-another-mask": (
        ValueError,
        call(jaxloss.gspo, ROWS, ROWS, ONES, np.ones((4, 2), bool)),
        ("gspo: ", "token_mask has 2", "(4, 2)", "(4, 3)"),
    ),
    "gspo-mask-of-integers": (
        TypeError,
        call(jaxloss.gspo, ROWS, ROWS, ONES, np.ones((4, 3), np.int32)),
        ("gspo: token_mask ", "booleans", "int32", "token_mask != 0"),
    ),
    "ppo-mask-of-floats": (
        TypeError,
        call(jaxloss.ppo_clip, ROWS, ROWS, ROWS, where=np.ones((4, 3), np.float32)),
        ("ppo_clip: where ", "float32"),
    ),
    "diffusion-noise-level-of-numbers": (
        ValueError,
        call(jaxloss.diffusion, ROWS, ROWS, ROWS, ROWS),
        ("diffusion: ", "log_snr", "(4, 3)"),
    ),
    "distillation-of-other-classes": (
        ValueError,
        call(jaxloss.distillation, ROWS, ROWS[:, :2]),
        ("distillation: ", "teacher_logits has 2", "student_logits has 3"),
    ),
    "top_k-floats-for-labels": (
        TypeError,
        call(jaxloss.top_k_distillation, ROWS, ROWS[:, :2], ROWS[:, :2]),
        ("top_k_distillation: ", "labels must be integers", "float32"),
    ),
    "top_k-whole-teacher": (
        ValueError,
        call(jaxloss.top_k_distillation, ROWS, ROWS, SOME),
        ("top_k_distillation: ", "labels has 2", "teacher_log_probabilities has 3"),
    ),
    "unlikelihood-one-hot": (
        TypeError,
        call(jaxloss.unlikelihood, ROWS, ROWS),
        ("unlikelihood: ", "labels must be integers", "jnp.argmax(labels, -1)"),
    ),
    # Names that other libraries have.
    "dpo-loss_type": (TypeError, call(jaxloss.dpo, *[ONES] * 4, loss_type="ipo"), ("dpo has no argument 'loss_type'",)),
    "ppo-clip_ratio": (
        TypeError,
        call(jaxloss.ppo_clip, *[ONES] * 3, clip_ratio=0.2),
        ("ppo_clip has no argument 'clip_ratio'", "clip"),
    ),
    "ppo-epsilon": (
        TypeError,
        call(jaxloss.ppo_clip, *[ONES] * 3, epsilon=0.2),
        ("ppo_clip has no argument 'epsilon'", "clip"),
    ),
    "simpo-gamma": (
        TypeError,
        call(jaxloss.simpo, ONES, ONES, gamma=0.5),
        ("simpo has no argument 'gamma'", "beta, margin, label_smoothing"),
    ),
    "diffusion-prediction_type": (
        TypeError,
        call(jaxloss.diffusion, ROWS, ROWS, ROWS, ONES, prediction_type="epsilon"),
        ("diffusion has no argument 'prediction_type'", "predicts"),
    ),
    # Values of options.
    "sampled_kl-low_var_kl": (
        ValueError,
        call(jaxloss.sampled_kl_divergence, ONES, ONES, estimator="low_var_kl"),
        ("sampled_kl_divergence: estimator must be k1, k2 or k3", "'low_var_kl'"),
    ),
    "diffusion-epsilon": (
        ValueError,
        call(jaxloss.diffusion, ROWS, ROWS, ROWS, ONES, predicts="epsilon"),
        ("diffusion: predicts must be noise, data, v or velocity", "'epsilon'"),
    ),
    "diffusion-min-snr": (
        ValueError,
        call(jaxloss.diffusion, ROWS, ROWS, ROWS, ONES, weighting="min-snr"),
        ("diffusion: weighting must be None, noise, data, v, min_snr", "'min-snr'"),
    ),
    "top_k-tail": (
        ValueError,
        call(jaxloss.top_k_distillation, ROWS, ROWS[:, :2], SOME, tail="drop"),
        ("top_k_distillation: tail must be bucket or renormalize", "'drop'"),
    ),
    "dpo-beta": (ValueError, call(jaxloss.dpo, *[ONES] * 4, beta=-0.1), ("dpo: beta ", ">= 0", "-0.1")),
    "ipo-beta": (ValueError, call(jaxloss.ipo, *[ONES] * 4, beta=0.0), ("ipo: beta ", "> 0", "0.0")),
    "ppo-clip-of-a-ratio": (ValueError, call(jaxloss.ppo_clip, *[ONES] * 3, clip=1.2), ("ppo_clip: clip ", "1.2")),
    "ppo-dual_clip": (ValueError, call(jaxloss.ppo_clip, *[ONES] * 3, dual_clip=0.5), ("ppo_clip: dual_clip ", "> 1")),
    "jsd-weight-0": (
        ValueError,
        call(jaxloss.generalized_jensen_shannon_divergence_with_logits, ROWS, ROWS, weight=0.0),
        ("generalized_jensen_shannon_divergence_with_logits: weight ", "> 0", "0.0"),
    ),
    "distillation-temperature": (
        ValueError,
        call(jaxloss.distillation, ROWS, ROWS, temperature=0.0),
        ("distillation: temperature ", "> 0"),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_a_sentence(name):
    error, mistaken, parts = MISTAKES[name]
    for run in (lambda f: f(), lambda f: jax.jit(f)()):
        with pytest.raises(error) as caught:
            run(mistaken)
        message = str(caught.value)
        assert caught.type is error
        assert re.fullmatch(r"[^\n]*[.?]", message), message
        assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("loss", "arrays"),
    [
        (jaxloss.orpo, ([0.1, -1.0], [-1.0, -1.0])),
        (jaxloss.orpo, ([-1.0, -1.0], [0.1, -1.0])),
        (jaxloss.unlikelihood, ([[0.0, 1.0], [0.0, 1.0]], [2, 1])),
        (jaxloss.top_k_distillation, ([[0.0, 1.0, 2.0]] * 2, [[-1.0, -2.0]] * 2, [[0, 3], [0, 1]])),
    ],
    ids=["orpo-chosen", "orpo-rejected", "unlikelihood", "top_k"],
)
def test_a_value_outside_the_domain_is_nan_for_its_item(loss, arrays):
    arrays = [np.asarray(a, np.float32 if isinstance(np.ravel(a)[0], np.floating) else np.int32) for a in arrays]
    values = jaxloss.reduce(loss, "none")(*arrays)
    assert np.isnan(values[0])
    assert np.isfinite(values[1])
    assert np.isfinite(jax.jit(jax.grad(loss))(*arrays, where=np.array([False, True]))).all()

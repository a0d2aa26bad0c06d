"""How the losses of models, lists, sequences, times and sets of points are drawn; parts of `views`."""

from typing import Any

import jax.numpy as jnp

from jaxloss.cli.view import View, constant, each, row, view
from jaxloss.types import Array

_OLD_POLICY = "log-probability beyond the old policy's (nats)"

_POINT = "the first point of p, whose second is 1; those of q are -1 and 1"


def _ones(n: int) -> Array:
    return jnp.ones(n, jnp.int32)


def _staying(x: Array, score: float) -> Array:
    return jnp.stack([constant(x, score, 0.0), constant(x, 0.0, score)])


OF_ARRAYS: dict[str, tuple[View, ...]] = {
    "student_logits(k), teacher_logits(k)": (
        view(
            "student's logit of the first of two classes, the teacher's 1; the others are 0",
            -5,
            7,
            lambda x: (row(x, 0), constant(x, 1.0, 0.0)),
        ),
    ),
    "student_logits(v), teacher_log_probabilities(k), labels(k)": (
        view(
            "student's logit of one of two classes that were kept, of probabilities 0.5 and 0.3; others 0",
            -5,
            7,
            lambda x: (row(x, 0, 0, 0), constant(x, -0.6931, -1.204), jnp.arange(2)),
        ),
    ),
    # Ranking
    "scores(n), targets(n)": (
        View(
            "score of one of three documents; the others have the scores -1 and 1, and the relevances 1 and 0",
            -3,
            3,
            each("its relevance", (2.0, 0.0), lambda y, x: (row(x, -1, 1), constant(x, y, 1.0, 0.0))),
        ),
    ),
    # Sequence
    "logits(t,k), labels(n)": (
        View(
            "logit of the label in each of four frames; the blank has 0",
            -6,
            6,
            each("how many times the label is due", (1, 2), lambda n, x: (row(0 * x, x)[None].repeat(4, 0), _ones(n))),
        ),
    ),
    "logits(t,s,k), labels(n)": (
        View(
            "logit of the label in each of two frames; the blank has 0",
            -6,
            6,
            each(
                "how many times the label is due",
                (1, 2),
                lambda n, x: (row(0 * x, x)[None, None].repeat(2, 0).repeat(n + 1, 1), _ones(n)),
            ),
        ),
    ),
    "acoustic_logits(t,k), text_logits(s,k), labels(n)": (
        View(
            "logit of the label in each of two frames; all else is 0",
            -6,
            6,
            each(
                "how many times the label is due",
                (1, 2),
                lambda n, x: (row(0 * x, x)[None].repeat(2, 0), row(0 * x, 0)[None].repeat(n + 1, 0), _ones(n)),
            ),
        ),
    ),
    "logits(t,k), labels(t), transitions(k,k)": (
        View(
            "logit of the label of the second of three tokens, the others 0",
            -6,
            6,
            each(
                "score of staying in a class",
                (-2.0, 0.0, 2.0),
                lambda a, x: (jnp.stack([row(0 * x, 0), row(x, 0), row(0 * x, 0)]), 0 * _ones(3), _staying(x, a)),
            ),
        ),
    ),
    "prediction(n,d), target(m,d)": (
        view(
            "the second of three points, after 0 and before 1; those of the target are 0 and 1",
            -2,
            3,
            lambda x: (row(0, x, 1)[:, None], constant(x, 0.0, 1.0)[:, None]),
        ),
    ),
    # Survival
    "log_hazards(n), times(n), events(n)": (
        View(
            "log hazard of the first of three subjects, the others 0; all three events are seen",
            -6,
            6,
            each(
                "time of the first",
                (1.0, 2.0, 3.0),
                lambda t, x: (row(x, 0, 0), constant(x, t, 1.5, 2.5), constant(x, 1.0, 1.0, 1.0)),
            ),
        ),
    ),
    "logits(k), labels, events": (
        view(
            "logit of the second of three intervals, the others 0",
            -6,
            6,
            **{
                "event there": lambda x: (row(0, x, 0), jnp.asarray(1), 0 * x + 1),
                "censored there": lambda x: (row(0, x, 0), jnp.asarray(1), 0 * x),
            },
        ),
    ),
    "location, lower, upper, log_scale": (
        view(
            "location of the log time",
            -3,
            3,
            **{
                "event at 1": lambda x: (x, 0 * x + 1, 0 * x + 1, 0 * x),
                "later than 1": lambda x: (x, 0 * x + 1, 0 * x + jnp.inf, 0 * x),
                "before 1": lambda x: (x, 0 * x, 0 * x + 1, 0 * x),
                "between 1 and 2": lambda x: (x, 0 * x + 1, 0 * x + 2, 0 * x),
            },
        ),
    ),
    # Preference
    "chosen_log_probabilities, rejected_log_probabilities, "
    "reference_chosen_log_probabilities, reference_rejected_log_probabilities": (
        view(
            "log-probability of the chosen answer less that of the rejected, beyond the reference's (nats)",
            -10,
            10,
            lambda x: (x - 20, 0 * x - 20, 0 * x - 20, 0 * x - 20),
        ),
    ),
    "chosen_log_probabilities, rejected_log_probabilities": (
        view(
            "mean log-probability, of the answer named; the other's is -1 (nats)",
            -4,
            0,
            chosen=lambda x: (x, 0 * x - 1),
            rejected=lambda x: (0 * x - 1, x),
        ),
    ),
    "chosen_scores, rejected_scores": (
        view("score of the chosen answer - score of the rejected", -6, 6, lambda x: (x, 0 * x)),
    ),
    "log_probabilities, reference_log_probabilities, targets": (
        View(
            "log-probability beyond the reference's (nats)",
            -30,
            30,
            each("target", (1, 0), lambda y, x: (x - 40, 0 * x - 40, 0 * x + y)),
        ),
    ),
    "log_probabilities, old_log_probabilities, advantages": (
        View(_OLD_POLICY, -1, 1, each("advantage", (1, -1), lambda a, x: (x - 1, 0 * x - 1, 0 * x + a))),
    ),
    "log_probabilities(t), old_log_probabilities(t), advantage": (
        View(
            f"{_OLD_POLICY}, in the mean of two tokens",
            -0.002,
            0.002,
            each("advantage", (1, -1), lambda a, x: (row(2 * x - 1, -2), constant(x, -1.0, -2.0), 0 * x + a)),
        ),
    ),
    "log_probabilities, reference_log_probabilities": (
        view("log-probability beyond the reference's (nats)", -2, 2, lambda x: (x - 3, 0 * x - 3)),
    ),
    # Transport
    "p(n), q(m)": (view(_POINT, -3, 3, lambda x: (row(x, 1), constant(x, -1, 1))),),
    "p(n,d), q(m,d)": (view(_POINT, -3, 3, lambda x: (row(x, 1)[:, None], constant(x, -1, 1)[:, None])),),
    "p(n,d), q(m,d), directions(r,d)": (
        view(_POINT, -3, 3, lambda x: (row(x, 1)[:, None], constant(x, -1, 1)[:, None], constant(x, 1)[:, None])),
    ),
    # Generative
    "velocity, start, end": (view("velocity, from 0 to 1", -2, 4, lambda x: (x, 0 * x, 0 * x + 1)),),
    "prediction(d), data(d), noise(d), log_snr": (
        view("log SNR, for an error of 1", -4, 6, lambda x: (row(1 + 0 * x), row(0 * x), row(0 * x), x)),
    ),
    "score(d), noise(d), sigma": (
        View(
            "score, for the noise 1",
            -3,
            1,
            each("sigma", (0.5, 1.0, 2.0), lambda s, x: (row(x), row(0 * x + 1), 0 * x + s)),
        ),
    ),
}

OF_A_LOSS: dict[str, tuple[View, ...]] = {
    "grpo": (
        View(
            "log-probability beyond those of the old policy and of the reference (nats)",
            -1,
            1,
            each("advantage", (1, -1), lambda a, x: (x - 1, 0 * x - 1, 0 * x + a, 0 * x - 1)),
        ),
    ),
}

OPTION_OF_A_LOSS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "dpo": ("beta", (0.1, 0.5)),
    "ipo": ("beta", (0.1, 0.2)),
    "kto": ("beta", (0.1, 0.5)),
    "simpo": ("beta", (2.0, 5.0)),
    "orpo": ("beta", (0.1, 1.0)),
    "ppo_clip": ("clip", (0.1, 0.2)),
    "grpo": ("beta", (0.0, 0.2)),
    "sampled_kl_divergence": ("estimator", ("k1", "k2", "k3")),
    "top_k_distillation": ("tail", ("bucket", "renormalize")),
    "generalized_jensen_shannon_divergence_with_logits": ("weight", (0.1, 0.5, 0.9)),
    "wasserstein_1d": ("order", (1.0, 1.5, 2.0)),
    "sliced_wasserstein": ("order", (1.0, 1.5, 2.0)),
    "diffusion": ("weighting", ("noise", "min_snr", "truncated_snr")),
}

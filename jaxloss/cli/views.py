"""How each loss is drawn: what varies, over which range, and what the other arguments are.

A loss is drawn along a number x by the arrays of one item at x. Which, is told by the names of its arrays and their
core axes; `OF_A_LOSS` holds the exceptions. All there is to say about the picture of a new loss is said in this file,
in `views_of_vectors`, `views_of_images` or `views_of_models`, for embeddings, images, language and generative models.
"""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp

from jaxloss.cli import views_of_images as images
from jaxloss.cli import views_of_models as models
from jaxloss.cli import views_of_vectors as vectors
from jaxloss.cli.view import View, view
from jaxloss.cli.view import constant as _constant
from jaxloss.cli.view import each as _each
from jaxloss.cli.view import row as _row
from jaxloss.core.loss import Loss
from jaxloss.types import Array


def _three(x: Array) -> Array:
    """Probabilities of three classes: x, and what is left to the others in halves."""
    return _row(x, (1 - x) / 2, (1 - x) / 2)


def _pair(x: Array) -> Array:
    return _row(x, 1 - x)


_LABEL = 0
_P = (0.3, 0.7)
_ERROR = view("error: prediction - target (units of the target)", -3, 3, lambda x: (x, 0 * x))
_MARGIN = view("prediction, for the target 1", -3, 3, lambda x: (x, 0 * x + 1))
_AT_ONE = view("prediction, for the target 1 (units of the target)", 0, 3, lambda x: (x, 0 * x + 1))
_LOGIT = "logit of the label, the others 0"
_MEAN = "mean, for the target 0 (units of the target)"
_LOG_MEAN = "logarithm of the predicted mean"

_OF_REAL_AND_FAKE = {
    "x of the real sample": lambda x: (x, 0 * x),
    "x of the fake sample": lambda x: (0 * x, x),
}


def _scales(along: str, unit: str) -> tuple[View, View]:
    """A location with three log scales, and a log scale with three errors. Arrays: location, target, log scale."""
    at = _each(unit, (0.0, -1.0, 1.0), lambda s, x: (x, 0 * x, 0 * x + s))
    by = _each("error", (1.0, 0.0, 2.0), lambda e, x: (0 * x + e, 0 * x, x))
    return View(along, -3, 3, at), View(unit, -2, 3, by)


def _targets(along: str, low: float, high: float, *targets: float) -> View:
    return View(along, low, high, _each("target", targets, lambda y, x: (x, 0 * x + y)))


def _with_targets(along: str, parameter: float, *targets: float) -> View:
    items = _each("target", targets, lambda y, x: (x, 0 * x + y, 0 * x + parameter))
    return View(along, -2, 3, items)


OF_ARRAYS: dict[str, tuple[View, ...]] = {
    "prediction, target": (_ERROR,),
    "prediction(d), target(d)": (
        view(
            "angle between prediction and target (degrees)",
            -180,
            180,
            lambda x: (vectors.on_the_circle(x), _constant(x, 1.0, 0.0)),
        ),
    ),
    "prediction(n), target(n)": (
        view(
            "prediction at one of three pixels, all targets 1, the others right",
            0,
            4,
            lambda x: (_row(x, 1, 1), _constant(x, 1.0, 1.0, 1.0)),
        ),
        view(
            "a common factor of all predictions", 0, 4, lambda x: (x * _constant(x, 1.0, 2.0), _constant(x, 1.0, 2.0))
        ),
    ),
    # Likelihoods and scores
    "mean, target, log_variance": _scales(_MEAN, "log variance"),
    "mean, target, log_scale": _scales(_MEAN, "log scale"),
    "location, target, log_scale": _scales("location, for the target 0 (units of the target)", "log scale"),
    "log_rate, target": (_targets("logarithm of the predicted rate", -2, 3, 0, 1, 5),),
    "log_mean, target": (_targets(_LOG_MEAN, -2, 3, 1, 0, 5),),
    "log_mean, target, log_shape": (
        _with_targets(_LOG_MEAN, 1.0, 0.5, 1, 5),
        view("log shape, for target and mean 1", -2, 3, lambda x: (0 * x, 0 * x + 1, x)),
    ),
    "log_mean, target, log_dispersion": (
        _with_targets(_LOG_MEAN, 0.0, 0, 1, 5),
        view("log dispersion, for target 5 and mean 1", -3, 3, lambda x: (0 * x, 0 * x + 5, x)),
    ),
    "samples(m), target": (
        View(
            "mean of three samples - target (units of the target)",
            -3,
            3,
            _each("spread", (0.0, 1.0, 2.0), lambda s, x: (_row(x - s, x, x + s), 0 * x)),
        ),
        view("one of three samples, the others -1 and 1, for the target 0", -3, 3, lambda x: (_row(-1, x, 1), 0 * x)),
    ),
    "samples(m,d), target(d)": (
        View(
            "distance of the mean of four samples from the target, in a plane",
            0,
            3,
            _each("spread", (0.5, 1.0), lambda s, x: (
                    _row(x, 0)[None] + s * jnp.asarray([[1, 0], [-1, 0], [0, 1], [0, -1]], x.dtype),
                    _constant(x, 0.0, 0.0),
                )),
        ),
    ),
    "prediction(q), target": (
        view(
            "target, for the predictions -1, 0 and 1 of three quantiles",
            -3,
            3,
            lambda x: (_constant(x, -1.0, 0.0, 1.0), x),
        ),
    ),
    "lower, upper, target": (view("target, for the interval -1 to 1", -3, 3, lambda x: (0 * x - 1, 0 * x + 1, x)),),
    "prediction, target, scale": (
        View(_ERROR.along, -3, 3, _each("scale", (0.5, 1.0, 2.0), lambda s, x: (x, 0 * x, 0 * x + s))),
    ),
    # Classification
    "probabilities, targets": (_targets("probability of the class 1", 0, 1, 1, 0),),
    "logits, targets": (_targets("logit of the class 1", -6, 6, 1, 0),),
    "logits, labels": (
        view(
            "logit of the class 1",
            -3,
            3,
            **_each("label", (1, 0), lambda k, x: (x, jnp.asarray(k))),
        ),
    ),
    "probabilities(k), labels": (
        view("probability of the label, of three classes", 0, 1, lambda x: (_three(x), jnp.asarray(_LABEL))),
    ),
    "probabilities(k), targets(k)": (
        view(
            "probability of the first of three classes",
            0,
            1,
            **{
                "target (1, 0, 0)": lambda x: (_three(x), _constant(x, 1.0, 0.0, 0.0)),
                "target (0.6, 0.2, 0.2)": lambda x: (_three(x), _constant(x, 0.6, 0.2, 0.2)),
            },
        ),
    ),
    "logits(k), labels": (view(_LOGIT, -6, 6, lambda x: (_row(x, 0, 0), jnp.asarray(_LABEL))),),
    "logits(k), targets(k)": (view(_LOGIT, -6, 6, lambda x: (_row(x, 0, 0), _constant(x, 1.0, 0.0, 0.0))),),
    "prediction, labels, thresholds(c)": (
        View(
            "prediction (log odds), thresholds -1 and 1",
            -6,
            6,
            _each("class", (0, 1, 2), lambda k, x: (x, jnp.asarray(k), _constant(x, -1.0, 1.0))),
        ),
    ),
    "hidden(d), labels": (view(_LOGIT, -6, 6, lambda x: (_row(x), jnp.asarray(_LABEL), _row(x * 0 + 1, 0, 0)[None])),),
    # Divergences
    "p(k), q(k)": (
        view(
            "probability of the first of two classes; the other distribution is (0.3, 0.7)",
            0,
            1,
            **{
                "x in q": lambda x: (_constant(x, *_P), _pair(x)),
                "x in p": lambda x: (_pair(x), _constant(x, *_P)),
            },
        ),
    ),
    "p_logits(k), q_logits(k)": (
        view(
            "logit of the first of two classes; the other distribution has the logits (0, 0)",
            -6,
            6,
            **{
                "x in q": lambda x: (_constant(x, 0.0, 0.0), _row(x, 0)),
                "x in p": lambda x: (_row(x, 0), _constant(x, 0.0, 0.0)),
            },
        ),
    ),
    "p_mean, p_log_variance, q_mean, q_log_variance": (
        View(
            "mean of p, for q with mean 0 and variance 1",
            -3,
            3,
            _each("log variance of p", (-1.0, 0.0, 1.0), lambda s, x: (x, 0 * x + s, 0 * x, 0 * x)),
        ),
        view(
            "log variance, of the one named; the other is 0, the means are 0 and 1",
            -3,
            3,
            **{
                "of p": lambda x: (0 * x, x, 0 * x + 1, 0 * x),
                "of q": lambda x: (0 * x, 0 * x, 0 * x + 1, x),
            },
        ),
    ),
    "mean, log_variance": (
        View(
            "mean", -3, 3, _each("log variance", (-1.0, 0.0, 1.0), lambda s, x: (x, 0 * x + s))
        ),
        view("log variance, for the mean 0", -3, 3, lambda x: (0 * x, x)),
    ),
    # Adversarial
    "real_probabilities, fake_probabilities": (
        view(
            "probability given to a sample, 1/2 to the other",
            0,
            1,
            **{
                "x of the real sample": lambda x: (x, 0 * x + 0.5),
                "x of the fake sample": lambda x: (0 * x + 0.5, x),
            },
        ),
    ),
    "real_logits, fake_logits": (View("logit given to a sample, 0 to the other", -6, 6, _OF_REAL_AND_FAKE),),
    "real_scores, fake_scores": (View("score given to a sample, 0 to the other", -3, 3, _OF_REAL_AND_FAKE),),
    "fake_logits": (view("logit given to the fake sample", -6, 6, lambda x: (x,)),),
    "fake_scores": (view("score given to the fake sample", -3, 3, lambda x: (x,)),),
    **vectors.OF_ARRAYS,
    **models.OF_ARRAYS,
    **images.OF_ARRAYS,
}  # fmt: skip
"""The views of a loss by its arrays; those that may be left out are left out."""

_WIDE = replace(_ERROR, low=-8, high=8)

OF_A_LOSS: dict[str, tuple[View, ...]] = {
    "hinge": (_MARGIN,),
    "squared_hinge": (_MARGIN,),
    "perceptron": (_MARGIN,),
    "squared_log_error": (replace(_AT_ONE, low=-1),),
    "absolute_percentage_error": (replace(_AT_ONE, low=-1),),
    "symmetric_absolute_percentage_error": (replace(_AT_ONE, low=-1),),
    "tukey_biweight": (_WIDE,),
    "wing": (replace(_ERROR, low=-20, high=20),),
    "ldam": (replace(OF_ARRAYS["logits(k), labels"][0], along="cosine of the label, the others 0", low=-1, high=1),),
    "relativistic_gan_discriminator": (
        view("logit of the real sample - logit of the fake sample", -6, 6, lambda x: (x, 0 * x)),
    ),
    "relativistic_gan_generator": (
        view("logit of the real sample - logit of the fake sample", -6, 6, lambda x: (x, 0 * x)),
    ),
    **models.OF_A_LOSS,
    **images.OF_A_LOSS,
}

OF_AN_OPTION: dict[str, tuple[Any, ...]] = {
    "quantile": (0.1, 0.5, 0.9),
    "level": (0.1, 0.5, 0.9),
    "delta": (0.5, 1.0, 2.0),
    "beta": (0.25, 1.0, 2.0),
    "gamma": (0.0, 2.0, 5.0),
    "gamma_negative": (1.0, 4.0),
    "epsilon": (0.1, 0.5, 1.0),
    "variance_focus": (0.0, 0.5, 1.0),
    "degrees_of_freedom": (1.0, 3.0, 30.0),
    "power": (1.2, 1.5, 1.8),
    "positive_weight": (1.0, 3.0),
    "label_smoothing": (0.0, 0.1, 0.3),
    "temperature": (1.0, 3.0),
    "distance": ("euclidean", "squared_euclidean"),
    "margin": (0.2, 1.0),
    "q": (0.1, 0.7, 1.0),
    "max_margin": (0.0, 0.5),
    "width": (5.0, 10.0),
    "scale": (0.5, 1.0, 2.0),
    "alpha": (0.1, 0.2, 0.5),
    "distribution": ("weibull", "lognormal", "loglogistic"),
    "ties": ("efron", "breslow"),
    "scheme": ("lambda_rank", "ndcg_loss2", "ndcg_loss2++"),
}
"""The first of these that a loss takes is drawn at these values, its other options at their defaults."""

OPTION_OF_A_LOSS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "symmetric_cross_entropy": ("alpha", (0.0, 0.1, 1.0)),
    "general_robust": ("alpha", (2.0, 1.0, 0.0, -2.0, float("-inf"))),
    "renyi_divergence": ("alpha", (0.5, 1.0, 2.0)),
    "bi_tempered_cross_entropy": ("t1", (0.3, 0.8, 1.0)),
    "approx_ndcg": ("temperature", (0.1, 0.5, 1.0)),
    "approx_mrr": ("temperature", (0.1, 0.5, 1.0)),
    "poly_cross_entropy": ("epsilon", (0.0, 2.0)),
    "logit_adjusted_cross_entropy": ("temperature", (0.0, 1.0, 2.0)),
    "tukey_biweight": ("scale", (2.0, 4.685)),
    **vectors.OPTION_OF_A_LOSS,
    **models.OPTION_OF_A_LOSS,
    **images.OPTION_OF_A_LOSS,
}

FIXED: dict[str, Any] = {
    "class_counts": [10.0, 100.0, 1000.0],
    "log_prior": [-2.3026, -1.204, -0.5108],
    "quantiles": [0.1, 0.5, 0.9],
    "t2": 1.2,
    "scale_weights": [0.5, 0.5],
    "fft_sizes": (16,),
    "hop_sizes": (4,),
    "window_sizes": (16,),
}
"""Options that a picture needs and that have no default, or none that shows anything."""


def arrays_of(loss: Loss[...]) -> str:
    """The arrays that must be given, with their core axes: "logits(k), labels"."""
    term = loss._term
    required = [
        name + (f"({','.join(core)})" if core else "")
        for name, core in term.cores.items()
        if term.parameters[name].default is term.parameters[name].empty
    ]
    return ", ".join(required)


def views_of(loss: Loss[...]) -> tuple[View, ...]:
    """How the loss is drawn.

    Raises:
        LookupError: It is not known yet.
    """
    found = OF_A_LOSS.get(loss.__name__) or OF_ARRAYS.get(arrays_of(loss))
    if found is None:
        raise LookupError(
            f"{loss.__name__}: nothing says how a loss of {arrays_of(loss)} is drawn; add a line to {__name__}."
        )
    return found


def option_of(loss: Loss[...]) -> tuple[str, tuple[Any, ...]] | None:
    """The option that is drawn at several values, and these."""
    if loss.__name__ in OPTION_OF_A_LOSS:
        return OPTION_OF_A_LOSS[loss.__name__]
    return next(((name, values) for name, values in OF_AN_OPTION.items() if name in loss._term.options), None)


def fixed_of(loss: Loss[...]) -> dict[str, Any]:
    """The options that a picture needs and that are not drawn at several values."""
    given = {name: value for name, value in FIXED.items() if name in loss._term.options}
    return {name: jnp.asarray(value) if isinstance(value, list) else value for name, value in given.items()}

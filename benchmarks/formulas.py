"""The plainest formula of every loss: optax's where optax has the loss, else as the paper writes it.

This is the yardstick of `chips.py`: what a reader would type, with no care for corners. A formula takes the arrays of
the loss of that name in the catalogue, with their leading axes, and its options by name, and returns the value of each
item. `tests/test_formulas.py` holds them to the values of the losses.
"""

import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax.losses as optax
from formulas_of_images import OF_IMAGES
from jax import Array
from jax.nn import log_sigmoid, log_softmax, logsumexp, one_hot, relu, sigmoid, softmax, softplus
from jax.scipy.special import gammaln
from jax.scipy.stats import norm


def _of_error(term: Callable[..., Array]) -> Callable[..., Array]:
    return lambda prediction, target, **options: term(prediction - target, **options)


def _at(rows: Array, labels: Array) -> Array:
    return jnp.take_along_axis(rows, labels[..., None], -1)[..., 0]


# ----------------------------------------------------------------------------------------------- regression, robust


def _scale_invariant(
    prediction: Array, target: Array, pixel_mask: Array | None = None, *, variance_focus: float = 0.5
) -> Array:
    d = jnp.log(prediction) - jnp.log(target)
    counts = True if pixel_mask is None else pixel_mask
    return jnp.mean(d**2, -1, where=counts) - variance_focus * jnp.mean(d, -1, where=counts) ** 2


REGRESSION = {
    "squared_error": optax.squared_error,
    "absolute_error": _of_error(jnp.abs),
    "huber": optax.huber_loss,
    "smooth_l1": _of_error(lambda e, beta=1.0: jnp.where(abs(e) < beta, 0.5 * e**2 / beta, abs(e) - 0.5 * beta)),
    "log_cosh": optax.log_cosh,
    "pseudo_huber": _of_error(lambda e, delta=1.0: delta**2 * (jnp.sqrt(1 + (e / delta) ** 2) - 1)),
    "pinball": _of_error(lambda e, quantile=0.5: jnp.maximum(-quantile * e, (1 - quantile) * e)),
    "expectile": _of_error(lambda e, level=0.5: jnp.where(e > 0, 1 - level, level) * e**2),
    "quantile_huber": _of_error(
        lambda e, quantile=0.5, delta=1.0: (
            jnp.where(e > 0, 1 - quantile, quantile) * optax.huber_loss(e, delta=delta) / delta
        )
    ),
    "squared_log_error": lambda prediction, target: (jnp.log1p(prediction) - jnp.log1p(target)) ** 2,
    "scaled_absolute_error": lambda prediction, target, scale: abs(prediction - target) / scale,
    "absolute_percentage_error": lambda prediction, target: abs((prediction - target) / target),
    "symmetric_absolute_percentage_error": lambda prediction, target: (
        2 * abs(prediction - target) / (abs(prediction) + abs(target))
    ),
    "epsilon_insensitive": _of_error(lambda e, epsilon=0.1: relu(abs(e) - epsilon)),
    "squared_epsilon_insensitive": _of_error(lambda e, epsilon=0.1: relu(abs(e) - epsilon) ** 2),
    "cosine_distance": optax.cosine_distance,
    "scale_invariant_log_error": _scale_invariant,
    "general_robust": _of_error(
        lambda e, alpha=1.0, scale=1.0: (
            abs(alpha - 2) / alpha * (((e / scale) ** 2 / abs(alpha - 2) + 1) ** (alpha / 2) - 1)
        )
    ),
    "charbonnier": _of_error(lambda e, scale=1.0: jnp.sqrt((e / scale) ** 2 + 1) - 1),
    "cauchy": _of_error(lambda e, scale=1.0: jnp.log1p(0.5 * (e / scale) ** 2)),
    "geman_mcclure": _of_error(lambda e, scale=1.0: 2 * (e / scale) ** 2 / ((e / scale) ** 2 + 4)),
    "welsch": _of_error(lambda e, scale=1.0: 1 - jnp.exp(-0.5 * (e / scale) ** 2)),
    "tukey_biweight": _of_error(
        lambda e, scale=4.685: scale**2 / 6 * jnp.where(abs(e) <= scale, 1 - (1 - (e / scale) ** 2) ** 3, 1.0)
    ),
    "wing": _of_error(
        lambda e, width=10.0, curvature=2.0: jnp.where(
            abs(e) < width,
            width * jnp.log1p(abs(e) / curvature),
            abs(e) - width + width * math.log1p(width / curvature),
        )
    ),
}


# ------------------------------------------------------------------------------------------------------- likelihood


def _student_t(location: Array, target: Array, log_scale: Array, *, degrees_of_freedom: float) -> Array:
    n = degrees_of_freedom
    constant = math.lgamma(n / 2) - math.lgamma((n + 1) / 2) + 0.5 * math.log(n * math.pi)
    return constant + log_scale + (n + 1) / 2 * jnp.log1p(((location - target) * jnp.exp(-log_scale)) ** 2 / n)


def _gamma(log_mean: Array, target: Array, log_shape: Array) -> Array:
    a = jnp.exp(log_shape)
    return gammaln(a) + a * (log_mean - log_shape) - (a - 1) * jnp.log(target) + a * target * jnp.exp(-log_mean)


def _negative_binomial(log_mean: Array, target: Array, log_dispersion: Array) -> Array:
    r, mu = jnp.exp(-log_dispersion), jnp.exp(log_mean)
    ways = gammaln(target + 1) + gammaln(r) - gammaln(target + r)
    return ways + target * jnp.log((r + mu) / mu) + r * jnp.log((r + mu) / r)


def _tweedie(log_mean: Array, target: Array, *, power: float = 1.5) -> Array:
    p, mu = power, jnp.exp(log_mean)
    own = target ** (2 - p) / ((1 - p) * (2 - p))
    return 2 * (own - target * mu ** (1 - p) / (1 - p) + mu ** (2 - p) / (2 - p))


def _crps_gaussian(mean: Array, target: Array, log_scale: Array) -> Array:
    sigma = jnp.exp(log_scale)
    z = (target - mean) / sigma
    return sigma * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / math.sqrt(math.pi))


def _crps_ensemble(samples: Array, target: Array) -> Array:
    m = samples.shape[-1]
    rank = 2 * jnp.arange(m, dtype=samples.dtype) - (m - 1)
    return jnp.mean(abs(samples - target[..., None]), -1) - jnp.sum(rank * jnp.sort(samples, -1), -1) / m**2


def _energy_score(samples: Array, target: Array) -> Array:
    near = jnp.linalg.norm(samples - target[..., None, :], axis=-1)
    apart = jnp.linalg.norm(samples[..., :, None, :] - samples[..., None, :, :], axis=-1)
    return jnp.mean(near, -1) - 0.5 * jnp.mean(apart, (-2, -1))


def _multi_quantile(prediction: Array, target: Array, quantiles: Array) -> Array:
    error, levels = prediction - target[..., None], jnp.asarray(quantiles)
    return jnp.maximum(-levels * error, (1 - levels) * error)


LIKELIHOOD = {
    "gaussian_nll": lambda mean, target, log_variance: (
        0.5 * (math.log(2 * math.pi) + log_variance + (mean - target) ** 2 * jnp.exp(-log_variance))
    ),
    "laplace_nll": lambda location, target, log_scale: (
        math.log(2) + log_scale + abs(location - target) * jnp.exp(-log_scale)
    ),
    "student_t_nll": _student_t,
    "gamma_nll": _gamma,
    "poisson_nll": lambda log_rate, target: jnp.exp(log_rate) - target * log_rate + gammaln(target + 1),
    "negative_binomial_nll": _negative_binomial,
    "tweedie_deviance": _tweedie,
    "brier": lambda probabilities, labels: jnp.sum((probabilities - one_hot(labels, probabilities.shape[-1])) ** 2, -1),
    "ranked_probability_score": lambda probabilities, labels: jnp.sum(
        jnp.cumsum(probabilities - one_hot(labels, probabilities.shape[-1]), -1)[..., :-1] ** 2, -1
    ),
    "crps_gaussian": _crps_gaussian,
    "crps_ensemble": _crps_ensemble,
    "energy_score": _energy_score,
    "multi_quantile": _multi_quantile,
    "interval_score": lambda lower, upper, target, *, alpha=0.1: (
        upper - lower + 2 / alpha * (relu(lower - target) + relu(target - upper))
    ),
}

# ---------------------------------------------------------------------------------------------------------- ranking


def _pairs(x: Array, y: Array) -> tuple[Array, Array]:
    """x_i - x_j of all pairs, and whether y_i > y_j."""
    return x[..., :, None] - x[..., None, :], y[..., :, None] > y[..., None, :]


def _pairwise(cost: Callable[..., Array]) -> Callable[..., Array]:
    def mean(scores: Array, targets: Array, **options: float) -> Array:
        ahead, counts = _pairs(scores, targets)
        return jnp.sum(cost(ahead, **options) * counts, (-2, -1)) / jnp.maximum(jnp.sum(counts, (-2, -1)), 1)

    return mean


def _against(scores: Array, others: Array) -> Array:
    """Log sum exp of the others and of the score, less the score."""
    diagonal = jnp.eye(scores.shape[-1], dtype=bool)
    return logsumexp(jnp.where(others | diagonal, scores[..., None, :], -jnp.inf), -1) - scores


def _gain(targets: Array) -> Array:
    return 2**targets - 1


def _max_dcg(targets: Array) -> Array:
    rank = 1 + jnp.arange(targets.shape[-1])
    return jnp.sum(jnp.flip(jnp.sort(_gain(targets), -1), -1) / jnp.log2(1 + rank), -1)


def _smooth_rank(scores: Array, temperature: float) -> Array:
    return 0.5 + jnp.sum(sigmoid(-_pairs(scores, scores)[0] / temperature), -1)


def _approx_ndcg(scores: Array, targets: Array, *, temperature: float = 0.1) -> Array:
    dcg = jnp.sum(_gain(targets) / jnp.log2(1 + _smooth_rank(scores, temperature)), -1)
    return 1 - dcg / _max_dcg(targets)


def _lambda_rank(scores: Array, targets: Array) -> Array:
    ahead, counts = _pairs(scores, targets)
    rank = 1 + jnp.argsort(jnp.argsort(-scores, -1), -1)
    gains, discounts = _gain(targets) / _max_dcg(targets)[..., None], 1 / jnp.log2(1 + rank)
    weight = abs(_pairs(gains, gains)[0] * _pairs(discounts, discounts)[0])
    return jnp.sum(weight * counts * softplus(-ahead), (-2, -1))


RANKING = {
    "listwise_softmax": lambda scores, targets: -jnp.sum(targets * log_softmax(scores), -1),
    "list_mle": lambda scores, targets: jnp.sum(_against(scores, targets[..., None, :] <= targets[..., :, None]), -1),
    "pairwise_logistic": _pairwise(lambda ahead: softplus(-ahead)),
    "pairwise_hinge": _pairwise(lambda ahead, margin=1.0: relu(margin - ahead)),
    "pairwise_squared_hinge": _pairwise(lambda ahead, margin=1.0: relu(margin - ahead) ** 2),
    "pairwise_squared_error": lambda scores, targets: 2 * jnp.var(scores - targets, -1, ddof=1),
    "unique_softmax": lambda scores, targets: jnp.sum(
        _gain(targets) * _against(scores, targets[..., None, :] < targets[..., :, None]), -1
    ),
    "approx_ndcg": _approx_ndcg,
    "approx_mrr": lambda scores, targets, *, temperature=0.1: (
        1 - jnp.max(jnp.where(targets > 0, 1 / _smooth_rank(scores, temperature), 0), -1)
    ),
    "lambda_rank": _lambda_rank,
}

# --------------------------------------------------------------------------------------------------------- survival


def _cox(
    log_hazards: Array, times: Array, events: Array, item_mask: Array | None = None, *, ties: str = "efron"
) -> Array:
    weights = jnp.exp(log_hazards) if item_mask is None else jnp.where(item_mask, jnp.exp(log_hazards), 0)
    seen = events if item_mask is None else jnp.where(item_mask, events, 0)
    at_risk = jnp.sum(jnp.where(times[..., None, :] >= times[..., :, None], weights[..., None, :], 0), -1)
    same = (times[..., None, :] == times[..., :, None]) * seen[..., None, :]
    tied, count = jnp.sum(same * weights[..., None, :], -1), jnp.sum(same, -1)
    earlier = jnp.sum(jnp.tril(same, -1), -1) if ties == "efron" else jnp.zeros_like(count)
    nll = jnp.log(at_risk - earlier / jnp.maximum(count, 1) * tied) - log_hazards
    return jnp.sum(jnp.where(seen > 0, nll, 0), -1) / jnp.maximum(jnp.sum(seen, -1), 1)


def _discrete_hazard(logits: Array, labels: Array, events: Array) -> Array:
    before = jnp.arange(logits.shape[-1]) < labels[..., None]
    end = _at(logits, labels)
    return jnp.sum(softplus(logits) * before, -1) + softplus(jnp.where(events > 0, -end, end))


def _discrete_survival(logits: Array, labels: Array, events: Array) -> Array:
    log_p = log_softmax(jnp.concatenate([logits, jnp.zeros_like(logits[..., :1])], -1))
    later = jnp.arange(log_p.shape[-1]) > labels[..., None]
    return -jnp.where(events > 0, _at(log_p, labels), jnp.log(jnp.sum(jnp.exp(log_p) * later, -1)))


_AFTER = {
    "weibull": lambda z: jnp.exp(-jnp.exp(z)),
    "lognormal": lambda z: norm.cdf(-z),
    "loglogistic": lambda z: sigmoid(-z),
}
_LOG_DENSITY = {
    "weibull": lambda z: z - jnp.exp(z),
    "lognormal": norm.logpdf,
    "loglogistic": lambda z: -softplus(z) - softplus(-z),
}


def _aft(location: Array, lower: Array, upper: Array, log_scale: Array, *, distribution: str = "weibull") -> Array:
    start, end = ((jnp.log(t) - location) * jnp.exp(-log_scale) for t in (lower, upper))
    after = _AFTER[distribution]
    event = -_LOG_DENSITY[distribution](start) + log_scale + jnp.log(lower)
    return jnp.where(lower == upper, event, -jnp.log(after(start) - after(end)))


SURVIVAL = {
    "cox": _cox,
    "discrete_hazard_nll": _discrete_hazard,
    "discrete_survival_nll": _discrete_survival,
    "aft_nll": _aft,
}

# --------------------------------------------------------------------------------------------------------- sequence


def _ctc(logits: Array, labels: Array) -> Array:
    return optax.ctc_loss(logits, jnp.zeros(logits.shape[:-1]), labels, jnp.zeros(labels.shape))


def _transducer(logits: Array, labels: Array) -> Array:
    log_p = log_softmax(logits)
    places = jnp.broadcast_to(labels[..., None, :, None], (*logits.shape[:-2], labels.shape[-1], 1))
    steps = log_p[..., 0], jnp.take_along_axis(log_p[..., :-1, :], places, -1)[..., 0]

    def frame(above: Array, steps: tuple[Array, Array]) -> tuple[Array, None]:
        def cell(left: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            up, emitted = inputs
            reached = jnp.logaddexp(up, left + emitted)
            return reached, reached

        to_frame, to_label = steps
        inputs = jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), (above[..., 1:], to_label))
        _, reached = jax.lax.scan(cell, above[..., 0], inputs)
        return jnp.concatenate([above[..., :1], jnp.moveaxis(reached, 0, -1)], -1) + to_frame, None

    start = jnp.where(jnp.arange(logits.shape[-2]) == 0, 0.0, -jnp.inf)
    first = jnp.broadcast_to(start, (*logits.shape[:-3], start.shape[0]))
    return -jax.lax.scan(frame, first, jax.tree.map(lambda x: jnp.moveaxis(x, -2, 0), steps))[0][..., -1]


def _crf(
    logits: Array, labels: Array, transitions: Array, start: Array | float = 0.0, end: Array | float = 0.0
) -> Array:
    def step(reached: Array, token: Array) -> tuple[Array, None]:
        return logsumexp(reached[..., None] + transitions, -2) + token, None

    start, end = (jnp.broadcast_to(scores, transitions.shape[:1]) for scores in (start, end))
    reached, _ = jax.lax.scan(step, start + logits[..., 0, :], jnp.moveaxis(logits[..., 1:, :], -2, 0))
    score = start[labels[..., 0]] + jnp.sum(_at(logits, labels), -1) + end[labels[..., -1]]
    score += jnp.sum(transitions[labels[..., :-1], labels[..., 1:]], -1)
    return logsumexp(reached + end, -1) - score


def _soft_dtw(prediction: Array, target: Array, *, gamma: float = 1.0) -> Array:
    distances = jnp.sum((prediction[..., :, None, :] - target[..., None, :, :]) ** 2, -1)
    start = jnp.where(jnp.arange(distances.shape[-1] + 1) == 0, 0.0, jnp.inf)

    def row(above: Array, distances: Array) -> tuple[Array, None]:
        def cell(left: Array, inputs: tuple[Array, Array, Array]) -> tuple[Array, Array]:
            up, both, distance = inputs
            reached = distance - gamma * logsumexp(-jnp.stack([left, up, both]) / gamma, 0)
            return reached, reached

        edge = jnp.full_like(above[..., 0], jnp.inf)
        inputs = (above[..., 1:], above[..., :-1], distances)
        _, reached = jax.lax.scan(cell, edge, jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), inputs))
        return jnp.concatenate([edge[..., None], jnp.moveaxis(reached, 0, -1)], -1), None

    first = jnp.broadcast_to(start, (*distances.shape[:-2], start.shape[0]))
    return jax.lax.scan(row, first, jnp.moveaxis(distances, -2, 0))[0][..., -1]


def _additive_transducer(acoustic_logits: Array, text_logits: Array, labels: Array) -> Array:
    return _transducer(acoustic_logits[..., :, None, :] + text_logits[..., None, :, :], labels)


SEQUENCE = {
    "additive_transducer": _additive_transducer,
    "ctc": _ctc,
    "transducer": _transducer,
    "crf": _crf,
    "soft_dtw": _soft_dtw,
}

# --------------------------------------------------------------------------------------------------- classification


def _binary_focal(probabilities: Array, targets: Array, *, alpha: float = 0.25, gamma: float = 2.0) -> Array:
    p = jnp.where(targets == 1, probabilities, 1 - probabilities)
    return -jnp.where(targets == 1, alpha, 1 - alpha) * (1 - p) ** gamma * jnp.log(p)


def _asymmetric(
    logits: Array, targets: Array, *, gamma_negative: float = 4.0, gamma_positive: float = 1.0, shift: float = 0.05
) -> Array:
    p = sigmoid(logits)
    shifted = relu(p - shift)
    positive = targets * (1 - p) ** gamma_positive * jnp.log(p)
    return -positive - (1 - targets) * shifted**gamma_negative * jnp.log1p(-shifted)


def _sigmoid(x: Array, targets: Array, *, positive_weight: float = 1.0, label_smoothing: float = 0.0) -> Array:
    if positive_weight == 1 and not label_smoothing:
        return optax.sigmoid_binary_cross_entropy(x, targets)
    y = (1 - label_smoothing) * targets + label_smoothing / 2
    return -(positive_weight * y * log_sigmoid(x) + (1 - y) * log_sigmoid(-x))


def _dense(logits: Array, targets: Array, *, label_smoothing: float = 0.0, z_loss: float = 0.0) -> Array:
    value = optax.softmax_cross_entropy(logits, optax.smooth_labels(targets, label_smoothing))
    return value + z_loss * logsumexp(logits, -1) ** 2 if z_loss else value


def _sparse(logits: Array, labels: Array, *, label_smoothing: float = 0.0, z_loss: float = 0.0) -> Array:
    if label_smoothing or z_loss:
        return _dense(logits, one_hot(labels, logits.shape[-1]), label_smoothing=label_smoothing, z_loss=z_loss)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def _symmetric(x: Array, labels: Array, *, alpha: float = 0.1, beta: float = 1.0, log_zero: float = -4.0) -> Array:
    log_p = _at(log_softmax(x), labels)
    return -alpha * log_p - beta * log_zero * (1 - jnp.exp(log_p))


def _softmax_focal(logits: Array, labels: Array, *, gamma: float = 2.0) -> Array:
    log_p = _at(log_softmax(logits), labels)
    return -((1 - jnp.exp(log_p)) ** gamma) * log_p


def _bi_tempered(logits: Array, targets: Array, *, t1: float = 0.8, t2: float = 1.2, rounds: int = 5) -> Array:
    def log_t(u: Array, t: float) -> Array:
        return (u ** (1 - t) - 1) / (1 - t)

    def exp_t(u: Array, t: float) -> Array:
        return relu(1 + (1 - t) * u) ** (1 / (1 - t))

    # The fixed point of the authors' code (Amid et al. 2019, algorithm 1).
    top = jnp.max(logits, -1, keepdims=True)
    below = scaled = logits - top
    for _ in range(rounds):
        scaled = below * jnp.sum(exp_t(scaled, t2), -1, keepdims=True) ** (1 - t2)
    p = exp_t(below + log_t(1 / jnp.sum(exp_t(scaled, t2), -1, keepdims=True), t2), t2)
    gain = targets * (log_t(targets, t1) - log_t(p, t1))
    return jnp.sum(gain - (targets ** (2 - t1) - p ** (2 - t1)) / (2 - t1), -1)


def _ldam(logits: Array, labels: Array, class_counts: Array, *, max_margin: float = 0.5, scale: float = 30.0) -> Array:
    margins = max_margin * (jnp.min(class_counts) / class_counts) ** 0.25
    paid = logits - margins * one_hot(labels, logits.shape[-1])
    return optax.softmax_cross_entropy_with_integer_labels(scale * paid, labels)


def _ordinal(prediction: Array, labels: Array, thresholds: Array) -> Array:
    ends = jnp.pad(thresholds, 1, constant_values=(-jnp.inf, jnp.inf))
    return -jnp.log(sigmoid(ends[labels + 1] - prediction) - sigmoid(ends[labels] - prediction))


def _entmax15(logits: Array, labels: Array) -> Array:
    # The exact threshold by sorting (Peters et al. 2019, algorithm 2).
    x = (logits - jnp.max(logits, -1, keepdims=True)) / 2
    ordered = jnp.sort(x, -1, descending=True)
    k = jnp.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    mean, mean_square = jnp.cumsum(ordered, -1) / k, jnp.cumsum(ordered**2, -1) / k
    tau = mean - jnp.sqrt(relu(1 / k - (mean_square - mean**2)))
    support = jnp.sum(tau <= ordered, -1)
    p = jax.lax.stop_gradient(relu(x - _at(tau, support - 1)[..., None]) ** 2)
    return jnp.sum(p * logits, -1) - _at(logits, labels) + 4 / 3 * (1 - jnp.sum(p**1.5, -1))


CLASSIFICATION = {
    "binary_cross_entropy": lambda p, targets: -(targets * jnp.log(p) + (1 - targets) * jnp.log1p(-p)),
    "sigmoid_binary_cross_entropy": _sigmoid,
    "binary_focal": _binary_focal,
    "sigmoid_focal": optax.sigmoid_focal_loss,
    "asymmetric": _asymmetric,
    "categorical_cross_entropy": lambda p, targets: -jnp.sum(targets * jnp.log(p), -1),
    "sparse_categorical_cross_entropy": lambda p, labels: -jnp.log(_at(p, labels)),
    "softmax_cross_entropy": _dense,
    "softmax_cross_entropy_with_integer_labels": _sparse,
    "generalized_cross_entropy": lambda x, labels, q=0.7: (1 - _at(softmax(x), labels) ** q) / q,
    "symmetric_cross_entropy": _symmetric,
    "bi_tempered_cross_entropy": _bi_tempered,
    "softmax_focal": _softmax_focal,
    "poly_cross_entropy": optax.poly_loss_cross_entropy,
    "logit_adjusted_cross_entropy": lambda x, labels, log_prior, temperature=1.0: (
        optax.softmax_cross_entropy_with_integer_labels(x + temperature * log_prior, labels)
    ),
    "ldam": _ldam,
    "ordinal_cross_entropy": _ordinal,
    "hinge": optax.hinge_loss,
    "squared_hinge": lambda prediction, target: relu(1 - prediction * target) ** 2,
    "perceptron": optax.perceptron_loss,
    "multiclass_hinge": optax.multiclass_hinge_loss,
    "multiclass_perceptron": optax.multiclass_perceptron_loss,
    "sparsemax": optax.sparsemax_loss,
    "multiclass_sparsemax": optax.multiclass_sparsemax_loss,
    "entmax15": _entmax15,
}

# -------------------------------------------------------------------- divergences, adversarial, embeddings, language


def _jensen_shannon(p: Array, q: Array) -> Array:
    m = (p + q) / 2
    return 0.5 * optax.kl_divergence(jnp.log(m), p) + 0.5 * optax.kl_divergence(jnp.log(m), q)


def _head(hidden: Array, labels: Array, kernel: Array) -> Array:
    logits = jnp.matmul(hidden, kernel, preferred_element_type=jnp.float32)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


OTHERS = {
    "kl_divergence": lambda p, q: optax.kl_divergence(jnp.log(q), p),
    "generalized_kl_divergence": lambda p, q: optax.generalized_kl_divergence(jnp.log(q), p),
    "jensen_shannon_divergence": _jensen_shannon,
    "renyi_divergence": lambda p, q, alpha: jnp.log(jnp.sum(p**alpha * q ** (1 - alpha), -1)) / (alpha - 1),
    "hellinger_distance": lambda p, q: jnp.sqrt(0.5 * jnp.sum((jnp.sqrt(p) - jnp.sqrt(q)) ** 2, -1)),
    "total_variation_distance": lambda p, q: 0.5 * jnp.sum(abs(p - q), -1),
    "kl_divergence_with_logits": lambda x, z, temperature=1.0: optax.kl_divergence(
        log_softmax(z / temperature), softmax(x / temperature)
    ),
    "jensen_shannon_divergence_with_logits": lambda x, z: _jensen_shannon(softmax(x), softmax(z)),
    "gaussian_kl_divergence": lambda m, s, n, t: 0.5 * (t - s + (jnp.exp(s) + (m - n) ** 2) * jnp.exp(-t) - 1),
    "standard_normal_kl_divergence": lambda m, s: 0.5 * (m**2 + jnp.exp(s) - 1 - s),
    "gan_discriminator": lambda real, fake: -0.5 * (jnp.log(real) + jnp.log1p(-fake)),
    "gan_discriminator_with_logits": lambda real, fake: 0.5 * (softplus(-real) + softplus(fake)),
    "gan_generator_with_logits": lambda fake: -softplus(fake),
    "gan_nonsaturating_generator": lambda fake: softplus(-fake),
    "lsgan_discriminator": lambda real, fake: 0.5 * (real - 1) ** 2 + 0.5 * fake**2,
    "lsgan_generator": lambda fake: 0.5 * (fake - 1) ** 2,
    "hinge_gan_discriminator": lambda real, fake: relu(1 - real) + relu(1 + fake),
    "hinge_gan_generator": lambda fake: -fake,
    "wgan_critic": lambda real, fake: fake - real,
    "wgan_generator": lambda fake: -fake,
    "relativistic_gan_discriminator": lambda real, fake: softplus(fake - real),
    "relativistic_gan_generator": lambda real, fake: softplus(real - fake),
    "triplet": lambda a, p, n, margin=0.2: optax.triplet_margin_loss(a, p, n, margin=margin),
    "triplet_from_distances": lambda positive, negative, margin=0.2: relu(positive - negative + margin),
    "linear_softmax_cross_entropy": _head,
    "unlikelihood": lambda x, labels: -jnp.log1p(-_at(softmax(x), labels)),
}

# ------------------------------------------------------------------------------ preference, distillation, generative


def _dpo(c: Array, r: Array, c_ref: Array, r_ref: Array, *, beta: float = 0.1) -> Array:
    return -log_sigmoid(beta * ((c - c_ref) - (r - r_ref)))


def _kto(log_p: Array, reference: Array, targets: Array, *, beta: float = 0.1) -> Array:
    gain = beta * (log_p - reference)
    return jnp.where(targets == 1, 1 - sigmoid(gain), 1 - sigmoid(-gain))


def _orpo(c: Array, r: Array, *, beta: float = 0.1) -> Array:
    log_odds = (c - r) - (jnp.log1p(-jnp.exp(c)) - jnp.log1p(-jnp.exp(r)))
    return -c - beta * log_sigmoid(log_odds)


def _ppo_clip(new: Array, old: Array, advantages: Array, *, clip: float = 0.2, clip_high: float = 0.2) -> Array:
    rho = jnp.exp(new - old)
    return -jnp.minimum(rho * advantages, jnp.clip(rho, 1 - clip, 1 + clip_high) * advantages)


def _k3(new: Array, reference: Array) -> Array:
    d = reference - new
    return jnp.exp(d) - d - 1


def _gspo(new: Array, old: Array, advantage: Array) -> Array:
    return _ppo_clip(jnp.mean(new - old, -1), jnp.zeros_like(advantage), advantage, clip=3e-4, clip_high=4e-4)


def _diffusion(prediction: Array, _data: Array, noise: Array, _log_snr: Array) -> Array:
    return (prediction - noise) ** 2


def _distillation(student: Array, teacher: Array, *, temperature: float = 1.0) -> Array:
    p, log_q = softmax(teacher / temperature), log_softmax(student / temperature)
    return temperature**2 * optax.kl_divergence(log_q, p)


def _top_k_distillation(student: Array, log_p: Array, labels: Array) -> Array:
    log_q = jnp.take_along_axis(log_softmax(student), labels, -1)
    p, q = jnp.exp(log_p), jnp.exp(log_q)
    rest, rest_q = 1 - jnp.sum(p, -1), 1 - jnp.sum(q, -1)
    return jnp.sum(p * (log_p - log_q), -1) + rest * jnp.log(rest / rest_q)


def _mixture(x: Array, z: Array, *, weight: float = 0.5) -> Array:
    p, q = softmax(x), softmax(z)
    m = weight * p + (1 - weight) * q
    return weight * optax.kl_divergence(jnp.log(m), p) + (1 - weight) * optax.kl_divergence(jnp.log(m), q)


PREFERENCE = {
    "dpo": _dpo,
    "ipo": lambda c, r, c_ref, r_ref, beta=0.1: ((c - c_ref) - (r - r_ref) - 1 / (2 * beta)) ** 2,
    "simpo": lambda c, r, beta=2.0, margin=0.5: -log_sigmoid(beta * (c - r) - margin),
    "orpo": _orpo,
    "bradley_terry": lambda c, r, margin: -log_sigmoid(c - r - margin),
    "kto": _kto,
    "ppo_clip": _ppo_clip,
    "grpo": lambda new, old, advantages, reference, beta=0.04: (
        _ppo_clip(new, old, advantages) + beta * _k3(new, reference)
    ),
    "gspo": _gspo,
    "sampled_kl_divergence": _k3,
    "distillation": _distillation,
    "top_k_distillation": _top_k_distillation,
    "generalized_jensen_shannon_divergence_with_logits": _mixture,
    "diffusion": _diffusion,
    "flow_matching": lambda velocity, start, end: (velocity - (end - start)) ** 2,
    "denoising_score_matching": lambda score, noise, sigma: (sigma[..., None] * score + noise) ** 2,
}

# -------------------------------------------------------------------------------------------------------- transport


def _shares(points: Array, mass: Array | None, axis: int) -> Array:
    mass = jnp.ones(points.shape[: axis % points.ndim + 1], points.dtype) if mass is None else mass
    return mass / jnp.sum(mass, -1, keepdims=True)


def _wasserstein_1d(
    p: Array, q: Array, p_mass: Array | None = None, q_mass: Array | None = None, *, order: float = 1.0
) -> Array:
    if p_mass is None and q_mass is None and p.shape == q.shape:
        return jnp.mean(abs(jnp.sort(p, -1) - jnp.sort(q, -1)) ** order, -1)

    def levels(x: Array, mass: Array | None) -> tuple[Array, Array]:
        places = jnp.argsort(x, -1)
        shares = jnp.take_along_axis(_shares(x, mass, -1), places, -1)
        return jnp.take_along_axis(x, places, -1), jnp.cumsum(shares, -1)

    (x, a), (y, b) = levels(p, p_mass), levels(q, q_mass)
    ends = jnp.sort(jnp.concatenate([a, b], -1), -1)
    widths = jnp.diff(ends, axis=-1, prepend=0)
    middles = ends - widths / 2

    def quantile(x: Array, reached: Array) -> Array:
        place = jnp.sum(reached[..., None, :] < middles[..., :, None], -1)
        return jnp.take_along_axis(x, jnp.minimum(place, x.shape[-1] - 1), -1)

    return jnp.sum(widths * abs(quantile(x, a) - quantile(y, b)) ** order, -1)


def _sliced_wasserstein(p: Array, q: Array, directions: Array, *, order: float = 2.0) -> Array:
    unit = directions / jnp.linalg.norm(directions, axis=-1, keepdims=True)
    along = [jnp.moveaxis(x @ unit.T, -1, 0) for x in (p, q)]
    return jnp.mean(_wasserstein_1d(*along, order=order), 0)


def _mean_over_pairs(apart: Callable[..., Array], p: Array, q: Array, a: Array, b: Array) -> Array:
    def mean(x: Array, y: Array, a: Array, b: Array) -> Array:
        return jnp.sum(a[..., :, None] * b[..., None, :] * apart(x[..., :, None, :], y[..., None, :, :]), (-2, -1))

    return 2 * mean(p, q, a, b) - mean(p, p, a, a) - mean(q, q, b, b)


def _energy_distance(p: Array, q: Array, p_mass: Array | None = None, q_mass: Array | None = None) -> Array:
    a, b = _shares(p, p_mass, -2), _shares(q, q_mass, -2)
    return _mean_over_pairs(lambda x, y: jnp.linalg.norm(x - y, axis=-1), p, q, a, b)


def _mmd(p: Array, q: Array, p_mass: Array | None = None, q_mass: Array | None = None) -> Array:
    a, b = _shares(p, p_mass, -2), _shares(q, q_mass, -2)
    return _mean_over_pairs(lambda x, y: -jnp.exp(-0.5 * jnp.sum((x - y) ** 2, -1)), p, q, a, b)


def _sinkhorn_divergence(p: Array, q: Array, p_mass: Array | None = None, q_mass: Array | None = None) -> Array:
    def transport(x: Array, y: Array, a: Array, b: Array) -> Array:
        cost = jnp.sum((x[..., :, None, :] - y[..., None, :, :]) ** 2, -1)

        def from_q(g: Array) -> Array:
            return -logsumexp(jnp.log(b[..., None, :]) + g[..., None, :] - cost, -1)

        def step(_: int, g: Array) -> Array:
            return -logsumexp(jnp.log(a[..., :, None]) + from_q(g)[..., :, None] - cost, -2)

        g = jax.lax.fori_loop(0, 100, step, 0 * b)
        return jnp.sum(a * from_q(g), -1) + jnp.sum(b * g, -1)

    a, b = _shares(p, p_mass, -2), _shares(q, q_mass, -2)
    return transport(p, q, a, b) - (transport(p, p, a, a) + transport(q, q, b, b)) / 2


TRANSPORT = {
    "sinkhorn_divergence": _sinkhorn_divergence,
    "wasserstein_1d": _wasserstein_1d,
    "sliced_wasserstein": _sliced_wasserstein,
    "energy_distance": _energy_distance,
    "mmd": _mmd,
    "gaussian_wasserstein": lambda p_mean, p_log_variance, q_mean, q_log_variance: (
        (p_mean - q_mean) ** 2 + (jnp.exp(p_log_variance / 2) - jnp.exp(q_log_variance / 2)) ** 2
    ),
}

# ------------------------------------------------------------------------------------------------- embedding: batches


def _cosines(x: Array, y: Array) -> Array:
    """Of each member of one side with each of the other."""
    x, y = (z / jnp.linalg.norm(z, axis=-1, keepdims=True) for z in (x, y))
    return jnp.matmul(x, jnp.swapaxes(y, -1, -2), precision=jax.lax.Precision.HIGHEST)


def _own(pairs: Array) -> Array:
    return jnp.diagonal(pairs, axis1=-2, axis2=-1)


def _without_own(pairs: Array) -> Array:
    return jnp.where(jnp.eye(pairs.shape[-1], dtype=bool), -jnp.inf, pairs)


def _info_nce(query: Array, positive: Array, negatives: Array, *, temperature: float = 0.07) -> Array:
    candidates = jnp.broadcast_to(negatives, (*query.shape[:-1], *negatives.shape[-2:]))
    candidates = jnp.concatenate([positive[..., None, :], candidates], -2)
    return -log_softmax(_cosines(query[..., None, :], candidates)[..., 0, :] / temperature)[..., 0]


def _clip(first: Array, second: Array, *, temperature: float = 0.07) -> Array:
    logits = _cosines(first, second) / temperature
    return -0.5 * _own(log_softmax(logits, -1) + log_softmax(logits, -2))


def _siglip(first: Array, second: Array, *, temperature: float = 0.1, bias: float = -10.0) -> Array:
    logits = _cosines(first, second) / temperature + bias
    return -jnp.sum(log_sigmoid((2 * jnp.eye(logits.shape[-1]) - 1) * logits), -1)


def _nt_xent(first: Array, second: Array, *, temperature: float = 0.1) -> Array:
    both = jnp.concatenate([first, second], -2)
    logits = _without_own(_cosines(both, both) / temperature)
    n = first.shape[-2]
    positives = _own(logits[..., :n, n:])
    return 0.5 * sum(logsumexp(half, -1) - positives for half in (logits[..., :n, :], logits[..., n:, :]))


def _supervised_contrastive(embeddings: Array, labels: Array, *, temperature: float = 0.1) -> Array:
    logits = _without_own(_cosines(embeddings, embeddings) / temperature)
    positives = (labels[..., :, None] == labels[..., None, :]) & ~jnp.eye(labels.shape[-1], dtype=bool)
    nll = logsumexp(logits, -1, keepdims=True) - logits
    return jnp.sum(jnp.where(positives, nll, 0), -1) / jnp.maximum(jnp.sum(positives, -1), 1)


def _contrastive(first: Array, second: Array, labels: Array, *, margin: float = 1.0) -> Array:
    distance = jnp.linalg.norm(first - second, axis=-1)
    return 0.5 * jnp.where(labels == 1, distance, relu(margin - distance)) ** 2


def _cosine_embedding(first: Array, second: Array, target: Array, *, margin: float = 0.0) -> Array:
    cosine = optax.cosine_similarity(first, second)
    return jnp.where(target == 1, 1 - cosine, relu(cosine - margin))


def _margin_softmax(margin_of: Callable[[Array], Array]) -> Callable[..., Array]:
    def loss(embeddings: Array, labels: Array, kernel: Array, *, scale: float = 64.0) -> Array:
        cosines = _cosines(embeddings, kernel.T)
        own = jnp.arange(kernel.shape[-1]) == labels[..., None]
        return optax.softmax_cross_entropy_with_integer_labels(
            scale * jnp.where(own, margin_of(cosines), cosines), labels
        )

    return loss


def _with_angle(cosine: Array, margin: float = 0.5) -> Array:
    angle = jnp.arccos(cosine)
    return jnp.where(angle > math.pi - margin, cosine - margin * math.sin(margin), jnp.cos(angle + margin))


def _triplets(embeddings: Array, labels: Array, margin: float = 0.2) -> tuple[Array, Array, Array, Array, Array]:
    """Of each anchor with two others `[..., n, n, n]`: the hinge; who are positives and who negatives; distances."""
    d = jnp.sqrt(jnp.sum(jnp.square(embeddings[..., :, None, :] - embeddings[..., None, :, :]), -1))
    alike = labels[..., :, None] == labels[..., None, :]
    positives = alike & ~jnp.eye(labels.shape[-1], dtype=bool)
    return relu(d[..., :, None] - d[..., None, :] + margin), positives, ~alike, d, jnp.any(~alike, -1)


def _batch_hard(embeddings: Array, labels: Array) -> Array:
    _, positives, negatives, d, some = _triplets(embeddings, labels)
    farthest = jnp.max(jnp.where(positives, d, -jnp.inf), -1)
    nearest = jnp.min(jnp.where(negatives, d, jnp.inf), -1)
    return jnp.where(jnp.any(positives, -1) & some, relu(farthest - nearest + 0.2), 0)


def _batch_semi_hard(embeddings: Array, labels: Array) -> Array:
    _, positives, negatives, d, some = _triplets(embeddings, labels)
    beyond = negatives[..., None, :] & (d[..., None, :] > d[..., :, None])
    nearest = jnp.min(jnp.where(beyond, d[..., None, :], jnp.inf), -1)
    farthest = jnp.max(jnp.where(negatives, d, -jnp.inf), -1, keepdims=True)
    cost = relu(d - jnp.where(jnp.isinf(nearest), farthest, nearest) + 0.2)
    of_anchor = jnp.sum(jnp.where(positives, cost, 0), -1) / jnp.maximum(jnp.sum(positives, -1), 1)
    return jnp.where(some, of_anchor, 0)


def _batch_all(embeddings: Array, labels: Array) -> Array:
    cost, positives, negatives, *_ = _triplets(embeddings, labels)
    counted = positives[..., :, None] & negatives[..., None, :]
    return jnp.sum(jnp.where(counted, cost, 0), (-1, -2)) / jnp.maximum(jnp.sum(counted, (-1, -2)), 1)


def _of_classes(embeddings: Array, labels: Array) -> tuple[Array, Array, Array]:
    alike = labels[..., :, None] == labels[..., None, :]
    return _cosines(embeddings, embeddings), alike & ~jnp.eye(labels.shape[-1], dtype=bool), ~alike


def _log_of_one_and(logits: Array, counted: Array, axis: int = -1) -> Array:
    return softplus(logsumexp(jnp.where(counted, logits, -1e30), axis))


def _multi_similarity(embeddings: Array, labels: Array) -> Array:
    s, positives, negatives = _of_classes(embeddings, labels)
    nearest = jnp.max(jnp.where(negatives, s, -jnp.inf), -1, keepdims=True)
    farthest = jnp.min(jnp.where(positives, s, jnp.inf), -1, keepdims=True)
    pull = _log_of_one_and(-2 * (s - 0.5), positives & (s < nearest + 0.1)) / 2
    return pull + _log_of_one_and(50 * (s - 0.5), negatives & (s > farthest - 0.1)) / 50


def _circle(embeddings: Array, labels: Array, margin: float = 0.4, gamma: float = 80.0) -> Array:
    s, positives, negatives = _of_classes(embeddings, labels)
    push = gamma * relu(s + margin) * (s - margin)
    pull = -gamma * relu(1 + margin - s) * (s - 1 + margin)
    sums = logsumexp(jnp.where(negatives, push, -1e30), -1) + logsumexp(jnp.where(positives, pull, -1e30), -1)
    return softplus(sums)


def _proxy_anchor(embeddings: Array, labels: Array, proxies: Array, alpha: float = 32.0) -> Array:
    s = _cosines(embeddings, proxies)
    own = one_hot(labels, proxies.shape[-2], dtype=bool)
    present = jnp.any(own, -2)
    pull = jnp.sum(jnp.where(present, _log_of_one_and(-alpha * (s - 0.1), own, -2), 0), -1) / jnp.sum(present, -1)
    return pull + jnp.mean(_log_of_one_and(alpha * (s + 0.1), ~own, -2), -1)


def _dino(student: Array, teacher: Array, center: Array | float = 0.0) -> Array:
    return optax.softmax_cross_entropy(student / 0.1, softmax((teacher - center) / 0.04))


def _squares(embeddings: Array) -> Array:
    """Squared distances of unit vectors, infinite from each to itself."""
    return jnp.where(jnp.eye(embeddings.shape[-2], dtype=bool), jnp.inf, 2 - 2 * _cosines(embeddings, embeddings))


def _uniformity(embeddings: Array, t: float = 2.0) -> Array:
    pairs = embeddings.shape[-2] * (embeddings.shape[-2] - 1)
    return jnp.log(jnp.sum(jnp.exp(-t * _squares(embeddings)), (-1, -2)) / pairs)


def _barlow_twins(first: Array, second: Array) -> Array:
    x, y = ((z - jnp.mean(z, -2, keepdims=True)) / jnp.std(z, -2, keepdims=True) for z in (first, second))
    c = jnp.swapaxes(x, -1, -2) @ y / x.shape[-2]
    return jnp.sum(jnp.where(jnp.eye(c.shape[-1], dtype=bool), (1 - c) ** 2, 0.005 * c**2), (-1, -2))


def _vicreg(first: Array, second: Array) -> Array:
    n, d = first.shape[-2:]
    total = 25 * jnp.mean((first - second) ** 2, (-1, -2))
    for z in (first, second):
        x = z - jnp.mean(z, -2, keepdims=True)
        v = jnp.swapaxes(x, -1, -2) @ x / (n - 1)
        total += 12.5 * jnp.mean(relu(1 - jnp.sqrt(_own(v) + 1e-4)), -1)
        total += jnp.sum(jnp.where(jnp.eye(d, dtype=bool), 0, v**2), (-1, -2)) / d
    return total


EMBEDDING = {
    "dino": _dino,
    "koleo": lambda embeddings: -0.5 * jnp.log(jnp.min(_squares(embeddings), -1)),
    "uniformity": _uniformity,
    "barlow_twins": _barlow_twins,
    "vicreg": _vicreg,
    "multi_similarity": _multi_similarity,
    "circle": _circle,
    "proxy_anchor": _proxy_anchor,
    "batch_hard_triplet": _batch_hard,
    "batch_semi_hard_triplet": _batch_semi_hard,
    "batch_all_triplet": _batch_all,
    "contrastive": _contrastive,
    "cosine_embedding": _cosine_embedding,
    "arcface": _margin_softmax(_with_angle),
    "cosface": _margin_softmax(lambda cosine: cosine - 0.35),
    "info_nce": _info_nce,
    "clip": _clip,
    "siglip": _siglip,
    "nt_xent": _nt_xent,
    "supervised_contrastive": _supervised_contrastive,
}

FORMULAS: Mapping[str, Callable[..., Array]] = {
    **REGRESSION,
    **LIKELIHOOD,
    **RANKING,
    **SEQUENCE,
    **SURVIVAL,
    **CLASSIFICATION,
    **OTHERS,
    **PREFERENCE,
    **OF_IMAGES,
    **TRANSPORT,
    **EMBEDDING,
}

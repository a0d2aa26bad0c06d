"""Preference: whole answers, compared or judged, and the tokens that a policy sampled."""

import itertools

import numpy as np
from mpmath import exp, expm1, inf, log, log1p, mpf

from cases.table import Case, softplus

T = 6  # tokens of an answer


def _times(weight, x):
    return mpf(0) if weight == 0 else mpf(weight) * x


def _sigmoid(x):
    return 1 / (1 + exp(-mpf(x)))


def cost_of_odds(h, label_smoothing):
    s = mpf(label_smoothing)
    return _times(1 - s, softplus(-h)) + _times(s, softplus(h))


def dpo(chosen, rejected, reference_chosen, reference_rejected, beta=0.1, label_smoothing=0.0):
    ahead = (mpf(chosen) - mpf(reference_chosen)) - (mpf(rejected) - mpf(reference_rejected))
    return cost_of_odds(_times(beta, ahead), label_smoothing)


def ipo(chosen, rejected, reference_chosen, reference_rejected, beta=0.1):
    ahead = (mpf(chosen) - mpf(reference_chosen)) - (mpf(rejected) - mpf(reference_rejected))
    return (ahead - 1 / (2 * mpf(beta))) ** 2


def kto(own, reference, target, reference_point=0.0, beta=0.1, desirable_weight=1.0, undesirable_weight=1.0):
    gain, y = _times(beta, mpf(own) - mpf(reference) - mpf(reference_point)), mpf(target)
    return y * mpf(desirable_weight) * _sigmoid(-gain) + (1 - y) * mpf(undesirable_weight) * _sigmoid(gain)


def simpo(chosen, rejected, beta=2.0, margin=0.5, label_smoothing=0.0):
    return cost_of_odds(mpf(beta) * (mpf(chosen) - mpf(rejected)) - mpf(margin), label_smoothing)


def orpo(chosen, rejected, beta=0.1):
    c, r = mpf(chosen), mpf(rejected)
    if c == -inf:
        return inf
    if r == 0:
        return inf if c < 0 else beta * log(2)
    return -c + mpf(beta) * log1p(expm1(-c) / expm1(-r))


def bradley_terry(chosen, rejected, margin=0.0):
    return softplus(-(mpf(chosen) - mpf(rejected) - mpf(margin)))


def _clipped(log_ratio, advantage, clip, clip_high, dual_clip):
    a, low = mpf(advantage), 1 - mpf(clip)
    high = 1 + mpf(clip if clip_high is None else clip_high)
    if log_ratio == inf and a >= 0:
        return -a * high
    ratio = exp(mpf(log_ratio))
    gain = min(ratio * a, min(max(ratio, low), high) * a)
    return -(max(gain, mpf(dual_clip) * a) if dual_clip is not None and a < 0 else gain)


def ppo_clip(new, old, advantage, clip=0.2, clip_high=None, dual_clip=None):
    return _clipped(mpf(new) - mpf(old), advantage, clip, clip_high, dual_clip)


def _k3(new, reference):
    d = mpf(reference) - mpf(new)
    return inf if abs(d) == inf else expm1(d) - d


def grpo(new, old, advantage, reference, clip=0.2, clip_high=None, beta=0.04, dual_clip=None):
    return ppo_clip(new, old, advantage, clip, clip_high, dual_clip) + _times(beta, _k3(new, reference))


def gspo(new, old, advantage, mask=None, clip=3e-4, clip_high=4e-4):
    pairs = [(mpf(a), mpf(b)) for k, (a, b) in enumerate(zip(new, old, strict=True)) if mask is None or mask[k]]
    if not pairs:
        return mpf(0)
    return _clipped(sum(a - b for a, b in pairs) / len(pairs), advantage, clip, clip_high, None)


def sampled_kl_divergence(new, reference, estimator="k3"):
    d = mpf(reference) - mpf(new)
    return {"k1": -d, "k2": d**2 / 2, "k3": _k3(new, reference)}[estimator]


# ------------------------------------------------------------------------------------------------------ ordinary items


def four_sums(rng, n):
    chosen, rejected = -rng.gamma(10, 3, n), -rng.gamma(10, 3, n)
    return chosen, rejected, chosen + rng.normal(size=n) * 4, rejected + rng.normal(size=n) * 4


def two_means(rng, n):
    return -rng.gamma(2, 0.5, n) - 0.01, -rng.gamma(2, 0.8, n) - 0.01


def sums_and_targets(rng, n):
    own = -rng.gamma(10, 3, n)
    return own, own + rng.normal(size=n) * 5, rng.integers(0, 2, n).astype(float)


def scores(rng, n):
    return rng.normal(size=n) * 2, rng.normal(size=n) * 2, rng.uniform(0, 2, n)


def _moved(rng, shape):
    """Log-probabilities and those of an old policy: of three ratios of four within the clip, of one beyond it."""
    change = np.where(rng.random(shape) < 0.75, rng.uniform(-0.15, 0.15, shape), rng.uniform(0.4, 1.0, shape))
    new = -rng.gamma(2, 1.0, shape) - 0.1
    return new, new - change * rng.choice([-1, 1], shape)


def tokens(rng, n):
    return *_moved(rng, n), rng.normal(size=n)


def tokens_with_reference(rng, n):
    new, old, advantage = tokens(rng, n)
    return new, old, advantage, new + rng.normal(size=n) * 0.5


def two_policies(rng, n):
    new = -rng.gamma(2, 1.0, n)
    return new, new + rng.normal(size=n)


def answers(rng, n):
    new = -rng.gamma(2, 1.0, (n, T)) - 0.1
    mean = np.where(
        rng.random(n) < 0.5, rng.uniform(-2e-4, 2e-4, n), rng.uniform(0.01, 0.2, n) * rng.choice([-1, 1], n)
    )
    change = rng.normal(size=(n, T)) * 0.2
    change += (mean - change.mean(-1))[:, None]
    return new, new - change, rng.normal(size=n)


def masked_answers(rng, n):
    mask = rng.random((n, T)) < 0.6
    mask[:, 0] = True
    return *answers(rng, n), mask


# ---------------------------------------------------------------------------------------------------------- hard items


def _signed(sizes):
    return [sign * size for size in sizes for sign in (1, -1)]


_AHEAD = _signed((0.0, 1e-30, 1e-4, 1.0, 53.0, 173.3, 400.7, 870.1, 1e4, 1e30, np.inf))


def _four(ulp):
    yield from ((x, 0.0, 0.0, 0.0) for x in _AHEAD)
    yield from ((0.0, x, 0.0, 0.0) for x in _AHEAD)
    yield from ((0.0, 0.0, x, -0.25) for x in _AHEAD)
    base = (-500.1, -480.3, -499.8, -480.7)
    yield from (
        tuple(x * (1 + 2 * k * ulp) for x, k in zip(base, moved, strict=True)) for moved in ((0, 0, 0, 0), (1, 0, 0, 2))
    )
    yield -500.1, -480.3, -500.1, -480.3
    yield 5.0, 0.0, 0.0, 0.0
    yield 5.0 * (1 - ulp), 0.0, 0.0, 0.0


def _verdicts(_):
    for x in _AHEAD:
        yield from ((x, 0.0, y) for y in (0.0, 1.0, 0.3))
    yield from ((-500.1, -499.8, y) for y in (0.0, 1.0))
    yield from ((0.0, -np.inf, y) for y in (0.0, 1.0))


def _two_means(_):
    yield from ((x, 0.0) for x in _AHEAD)
    yield from ((-3.3, x) for x in (-3.3, -3.4, -20.7, -50.1))
    yield 0.25, 0.0


def _probable(_):
    sizes = (0.0, 1e-35, 1e-30, 1e-8, 5e-8, 1e-4, 0.1, 0.6931472, 1.0, 3.3, 17.3, 80.1, 120.3, 1e4, 1e30)
    for c, r in itertools.product(sizes, repeat=2):
        if c or r:  # both certain: no slopes there
            yield -c, -r
    yield from ((-0.3 * (1 + step), -0.3) for step in (1e-6, -1e-6, 1e-3))
    yield from ((-np.inf, -1.0), (-1.0, -np.inf), (0.0, -np.inf), (-np.inf, -np.inf), (-np.inf, 0.0))


def _scores(ulp):
    sizes = (0.0, 1e-30, 1e-4, 5.0, 17.3, 40.1, 88.7, 1e4, 1e30, np.inf)
    yield from ((x, 0.0, 0.0) for x in _signed(sizes))
    yield from ((x, 0.3, 0.25) for x in _signed(sizes))
    yield from ((base * (1 + 2 * ulp), base, 0.0) for base in (1e-4, 40.1, 1e4))
    yield from ((0.0, x, 0.5) for x in (np.inf, -np.inf))


_CHANGES = (
    0.0,
    1e-30,
    1e-4,
    -0.2,
    0.2,
    -0.3,
    0.3,
    5.0,
    -5.0,
    25.0,
    -25.0,
    87.0,
    90.3,
    -90.3,
    -120.1,
    1e4,
    -1e4,
    np.inf,
    -np.inf,
)


def _steps(_):
    yield from ((x, 0.0, a) for x in _CHANGES for a in (1.0, -1.0, 0.3, -0.3))
    yield from ((x, 0.0, a) for x in (0.1, -0.1, 0.5, -0.5) for a in (0.0, 1e-30, -1e-30, 1e30, -1e30))
    yield from ((90.3, 0.0, -1e-10), (-90.3, 0.0, 1e30), (-np.inf, 0.0, 0.0))
    yield from ((-500.1, -500.2, a) for a in (1.0, -1.0))


def _steps_with_reference(_):
    yield from ((x, 0.0, 1.0, 0.0) for x in _CHANGES if x > -1e30)
    yield from ((x, 0.0, -1.0, -0.1) for x in _CHANGES if abs(x) < 1e3)
    yield from ((0.1, 0.0, 1.0, y) for y in (0.1, 0.1001, 0.1 + 1e-6, -3.0, 5.0, 50.1, 88.0, -1e4))
    yield from ((-0.1, 0.0, 1e-30, y) for y in (-0.1, -0.1001, 0.3, -np.inf))


def _moves(_):
    sizes = (0.0, 1e-30, 1e-10, 1e-4, 1e-3, 0.1, 0.999, 1.0, 1.001, 3.0, 20.3, 50.1, 88.1, 1e4, np.inf)
    yield from ((0.0, x) for x in _signed(sizes))
    yield from ((x, -1.0) for x in (-1.0, -1.0001, -1.1, -4.0))


def _answers(_):
    base = [-1.0, -2.0, -0.5, -0.1, -3.0, -0.7]
    for change in (0.0, 1e-4, -1e-4, 2e-4, 0.1, -0.1, 5.0, -5.0, 25.0, 1e4, -1e4):
        yield from (([b + change for b in base], base, a) for a in (1.0, -1.0))
    yield from ((base, [-0.9, -1.8, -0.6, -0.2, -2.9, -0.9], a) for a in (0.0, 1e30, -1e-30))
    yield from (([-np.inf, *base[1:]], base, a) for a in (1.0, -1.0))


CASES = (
    Case(
        "dpo",
        four_sums,
        dpo,
        options=({}, {"label_smoothing": 0.1}, {"beta": 2.0}, {"beta": 0.0, "label_smoothing": 0.5}),
        corners=((0.0, 0.0, 0.0, 0.0), (1e4, 0.0, 0.0, 0.0), (-1e4, 0.0, 0.0, 0.0), (-500.1, -480.3, -500.1, -480.3)),
        differentiable=(0, 1, 2, 3),
        hard=_four,
        every_slope=False,
    ),
    Case(
        "ipo",
        four_sums,
        ipo,
        options=({}, {"beta": 2.0}),
        corners=((5.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0), (-1e15, 0.0, 0.0, 0.0)),
        differentiable=(0, 1, 2, 3),
        hard=_four,
    ),
    Case(
        "kto",
        sums_and_targets,
        kto,
        options=({}, {"reference_point": 0.3, "desirable_weight": 2.0, "undesirable_weight": 0.5}, {"beta": 0.0}),
        corners=((0.0, 0.0, 1.0), (1e4, 0.0, 1.0), (-1e4, 0.0, 0.0), (-1e4, 0.0, 1.0)),
        differentiable=(0, 1, 2),
        hard=_verdicts,
        every_slope=False,
    ),
    Case(
        "simpo",
        two_means,
        simpo,
        options=({}, {"label_smoothing": 0.1, "margin": 0.0}),
        corners=((0.0, 0.0), (1e4, 0.0), (0.0, 1e4)),
        hard=_two_means,
    ),
    Case(
        "orpo",
        two_means,
        orpo,
        options=({}, {"beta": 1.0}),
        corners=((0.0, -1.0), (-1e-8, -1.0), (-1.0, -1.0), (-1e4, -1e4), (-0.1, -1e-30)),
        domain={0: (-inf, 0.0), 1: (-inf, 0.0)},
        hard=_probable,
    ),
    Case(
        "bradley_terry",
        scores,
        bradley_terry,
        corners=((0.0, 0.0, 0.0), (20.0, -20.0, 1.0), (-1e4, 1e4, 0.0), (1e30, -1e30, 0.0)),
        differentiable=(0, 1, 2),
        hard=_scores,
    ),
    Case(
        "ppo_clip",
        tokens,
        ppo_clip,
        options=({}, {"clip_high": 0.28, "dual_clip": 3.0}, {"clip": 0.1}),
        corners=((0.0, 0.0, 1.0), (0.0, 0.0, -1.0), (100.0, 0.0, 1.0), (-100.0, 0.0, -1.0), (50.0, 0.0, -1.0)),
        differentiable=(0, 1, 2),
        hard=_steps,
        every_slope=False,
    ),
    Case(
        "grpo",
        tokens_with_reference,
        grpo,
        options=({}, {"clip_high": 0.28, "dual_clip": 3.0}, {"beta": 0.0}),
        corners=((0.0, 0.0, 1.0, 0.0), (0.0, 0.0, -1.0, -1e-4), (0.0, 0.0, 1.0, 20.0), (100.0, 0.0, 1.0, 100.0)),
        differentiable=(0, 1, 2, 3),
        hard=_steps_with_reference,
        every_slope=False,
    ),
    Case(
        "gspo",
        answers,
        gspo,
        options=({}, {"clip": 0.2, "clip_high": 0.28}),
        corners=(([0.0] * T, [0.0] * T, 1.0), ([0.0] * T, [100.0] * T, 1.0), ([100.0] * T, [0.0] * T, 1.0)),
        differentiable=(0, 1, 2),
        hard=_answers,
        every_slope=False,
    ),
    Case(
        "gspo",
        masked_answers,
        gspo,
        corners=(([0.1] * T, [0.0] * T, 1.0, [False] * T),),
        differentiable=(0, 1, 2),
        every_slope=False,
    ),
    Case(
        "sampled_kl_divergence",
        two_policies,
        sampled_kl_divergence,
        options=({}, {"estimator": "k1"}, {"estimator": "k2"}),
        corners=((0.0, 0.0), (0.0, 1e-4), (0.0, -1e4), (-1.0, -1.0)),
        hard=_moves,
    ),
)

"""Transport and distances of distributions: sets of points with and without masses, and Gaussians."""

import functools
import itertools

import numpy as np
from mpmath import exp, inf, mp, mpf

from cases.table import Case, euclidean

N, M = 3, 4  # points of the two sets


def _shares(mass, count):
    masses = [mpf(a) for a in (mass or [1] * count)]
    return [a / (sum(masses) or 1) for a in masses]


def _levels(x, shares):
    """The sorted points, each with the level that it reaches."""
    reached, found = mpf(0), []
    for xi, share in sorted(zip(map(mpf, x), shares, strict=True)):
        reached += share
        found.append((reached, xi))
    return found


def _quantile(levels, u):
    return next((x for reached, x in levels if u < reached), levels[-1][1])


def wasserstein_1d(p, q, p_mass=None, q_mass=None, order=1.0):
    a, b = _shares(p_mass, len(p)), _shares(q_mass, len(q))
    if not any(a) or not any(b):
        return mpf(0)
    p, q = _levels(p, a), _levels(q, b)
    ends = sorted({mpf(0)} | {reached for reached, _ in p + q})
    middles = [((low + high) / 2, high - low) for low, high in itertools.pairwise(ends)]
    return sum((share * abs(_quantile(p, u) - _quantile(q, u)) ** mpf(order) for u, share in middles), mpf(0))


def sliced_wasserstein(p, q, directions, p_mass=None, q_mass=None, order=2.0):
    total = mpf(0)
    for direction in directions:
        length = euclidean(direction, [0] * len(direction)) or mpf(1)

        def along(points, direction=direction, length=length):
            return [sum(mpf(x) * mpf(t) for x, t in zip(point, direction, strict=True)) / length for point in points]

        total += wasserstein_1d(along(p), along(q), p_mass, q_mass, order)
    return total / len(directions)


def _mean(apart, p, q, a, b):
    return sum(ai * bj * apart(x, y) for ai, x in zip(a, p, strict=True) for bj, y in zip(b, q, strict=True))


def energy_distance(p, q, p_mass=None, q_mass=None):
    a, b = _shares(p_mass, len(p)), _shares(q_mass, len(q))
    if not any(a) or not any(b):
        return mpf(0)
    within = _mean(euclidean, p, p, a, a) + _mean(euclidean, q, q, b, b)
    return 2 * _mean(euclidean, p, q, a, b) - within


def _kernel(kernel, scale):
    scales = [mpf(s) for s in np.atleast_1d(scale)]
    of_distance = {"gaussian": lambda r, s: exp(-((r / s) ** 2) / 2), "laplacian": lambda r, s: exp(-r / s)}[kernel]
    return lambda x, y: sum(of_distance(euclidean(x, y), s) for s in scales) / len(scales)


def mmd(p, q, p_mass=None, q_mass=None, kernel="gaussian", scale=1.0, unbiased=False):
    a, b = _shares(p_mass, len(p)), _shares(q_mass, len(q))
    if not any(a) or not any(b):
        return mpf(0)
    k = _kernel(kernel, scale)

    def within(points, shares):
        mean = _mean(k, points, points, shares, shares)
        if not unbiased:
            return mean
        itself = sum(share**2 for share in shares)
        return (mean - itself) / (1 - itself)  # k(x, x) = 1

    return within(p, a) + within(q, b) - 2 * _mean(k, p, q, a, b)


@functools.cache
def _roughly(cost, a, b, epsilon):
    """The potentials of a transport in float64, by Sinkhorn's iterations."""
    cost, a, b = map(np.array, (cost, a, b))
    g = np.zeros(len(b))
    for k in range(400):
        soft = epsilon * max(1, cost.max() / epsilon) ** max(0, 1 - k / 100)
        of_p = (g - cost) / soft
        f = -soft * (np.log(np.exp(of_p - of_p.max(1, keepdims=True)) @ b) + of_p.max(1))
        of_q = (f[:, None] - cost) / soft
        g = -soft * (np.log(a @ np.exp(of_q - of_q.max(0))) + of_q.max(0))
    return f.tolist(), g.tolist()


def _entropic(cost, a, b, epsilon):
    """The largest value of the dual of a transport, to which Newton's steps lead in all digits."""
    n, m = len(a), len(b)
    f, g = ([mpf(x) for x in potentials] for potentials in _roughly(*map(_floats, (cost, a, b, epsilon))))

    def plan():
        return [[a[i] * b[j] * exp((f[i] + g[j] - cost[i][j]) / epsilon) for j in range(m)] for i in range(n)]

    for _ in range(8):
        found = plan()
        rows, columns = [sum(row) for row in found], [sum(column) for column in zip(*found, strict=True)]
        missing = mp.matrix([x - y for x, y in zip([*a, *b], rows + columns, strict=True)][:-1])
        # The last potential of q stays: a constant may pass from one side to the other.
        bend = mp.diag(rows + columns[:-1])
        for i, j in itertools.product(range(n), range(m - 1)):
            bend[i, n + j] = bend[n + j, i] = found[i][j]
        move = [*(epsilon * x for x in mp.lu_solve(bend, missing)), 0]
        f, g = ([x + dx for x, dx in zip(xs, dxs, strict=True)] for xs, dxs in ((f, move[:n]), (g, move[n:])))
    of_sides = sum(x * y for x, y in zip([*a, *b], f + g, strict=True))
    return of_sides + epsilon * (1 - sum(map(sum, plan())))


def _floats(x):
    return tuple(map(_floats, x)) if isinstance(x, list) else float(x)


def sinkhorn_divergence(p, q, p_mass=None, q_mass=None, epsilon=1.0, **_):
    a, b = _shares(p_mass, len(p)), _shares(q_mass, len(q))
    if not any(a) or not any(b):
        return mpf(0)

    def between(x, y, a, b):
        return _entropic([[euclidean(u, v) ** 2 for v in y] for u in x], a, b, mpf(epsilon))

    return between(p, q, a, b) - (between(p, p, a, a) + between(q, q, b, b)) / 2


def gaussian_wasserstein(p_mean, p_log_variance, q_mean, q_log_variance):
    p, q = (mpf(0) if s == -inf else exp(mpf(s) / 2) for s in (p_log_variance, q_log_variance))
    return (mpf(p_mean) - mpf(q_mean)) ** 2 + (p - q) ** 2


# -------------------------------------------------------------------------------------------------------------- items


def _lines(rng, n):
    return rng.normal(size=(n, N)), rng.normal(size=(n, M)) + 0.5


def _points(rng, n):
    return rng.normal(size=(n, N, 2)), rng.normal(size=(n, M, 2)) + 0.5


def _on_a_line(rng, n):
    return tuple(x[..., None] for x in _lines(rng, n))


def _with_directions(rng, n):
    return (*_points(rng, n), rng.normal(size=(3, 2)))


def _with_masses(draw):
    return lambda rng, n: (*draw(rng, n), rng.uniform(0.5, 2, (n, N)), rng.uniform(0.5, 2, (n, M)))


def _gaussians(rng, n):
    return tuple(rng.normal(size=(4, n)))


_MASSES = ([1.0, 2.0, 0.5], [0.25, 1.0, 3.0, 1.5])
_SETS = (
    ([0.0, 1.0, 3.0], [5.0, 6.0, 8.0, 7.0]),
    ([1e-3, 0.0, 2e-3], [3e-3, -1e-3, 5e-4, 7e-3]),
    ([1e6, -1e6, 3.0], [4.0, 2e6, 0.1, -3e5]),
    ([1e12, -2e12, 3e11], [4e10, 2e12, 1e11, -3e12]),
    ([1e-12, -2e-12, 3e-13], [4e-12, 2e-11, 1e-13, -3e-12]),
)
_TIES = (([1.0, 1.0, 2.0], [1.0, 2.0, 2.0, 0.0]), ([0.0] * 3, [0.0] * 4), ([1.0] * 3, [2.0] * 4))


def _hard_lines(_):
    yield from _SETS + _TIES


def _hard_on_a_line(ulp):
    yield from (tuple([[x] for x in side] for side in sets) for sets in _hard_lines(ulp))


def _hard_points(_):
    for p, q in _SETS:
        yield [[x, 1.5 * p[0]] for x in p], [[x / 2, y] for x, y in zip(q, q[::-1], strict=True)]


def _hard_directions(_):
    """Directions of any length, which divide by it."""
    long, short = [[3.0, 4.0], [1.0, -2.0], [1e6, 1e6]], [[1e-12, 2e-12], [0.0, 1.0], [-1.0, 1e-3]]
    yield from ((*sets, directions) for sets in _hard_points(_) for directions in (long, short))


def _hard_for_kernels(_):
    yield from list(_hard_points(_))[:3]


def _hard_unbiased(_):
    yield from (
        *_hard_for_kernels(_),
        ([[9.0, 0.0], [3.0, 4.0], [0.0, 8.0]], [[1.0, 7.0], [5.0, 5.0], [4.0, 1.0], [2.5, 0.0]]),
    )


def _hard_entropic(_):
    """Of costs that are not so large beside epsilon that 100 iterations do not converge."""
    yield from list(_hard_points(_))[:2]
    yield _PLANE
    yield [[4.5, 0.0], [1.5, 2.0], [0.0, 4.0]], [[0.5, 3.5], [2.5, 2.5], [2.0, 0.5], [1.25, 0.0]]


def _hard_with_masses(hard):
    return lambda ulp: ((*sets, *_MASSES) for sets in hard(ulp))


def _hard_gaussians(ulp):
    for s in (0.0, -30.0, 40.0, -3.0, 85.0):
        yield from ((0.0, s, 0.0, other) for other in (s, s + 1e-4, s * (1 - 4 * ulp), s - 2.0, s + 3.0, -np.inf))
    yield from itertools.product((1.0, 1e4), (0.0, -np.inf), (1 - ulp, -2.0), (2.0, 50.0, -np.inf))
    yield from ((1e15, 2.0, -1e15, 3.0), (0.0, 200.0, 0.0, 1.0), (0.0, 300.0, 0.0, 300.0), (1e-10, 0.0, 0.0, 0.0))


_NOTHING = ([0.0] * N, [0.0] * M)
_LINE = ([1.0, 0.0, 3.0], [2.0, 0.0, 2.0, 1.0])
_COLUMN = ([[1.0], [0.0], [3.0]], [[2.0], [0.0], [2.0], [1.0]])
_PLANE = ([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]], [[2.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
# Sums over pairs of positive and negative terms, which nearly cancel.
_POINTS = {"differentiable": (0, 1), "relative_to_item": (0, 1), "sorts": True}
_WEIGHED = {
    "differentiable": (0, 1, 2, 3),
    "relative_to_item": (0, 1, 2, 3),
    "domain": {2: (0.0, inf), 3: (0.0, inf)},
    "sorts": True,
    "variant": "-masses",
}
_OF_KERNELS = (
    {},
    {"kernel": "laplacian", "scale": 2.0},
    {"scale": (0.5, 3.0)},
)

CASES = (
    Case(
        "wasserstein_1d",
        _lines,
        wasserstein_1d,
        options=({}, {"order": 2.0}, {"order": 1.5}),
        corners=(_LINE, ([0.0] * N, [0.0] * M)),
        hard=_hard_lines,
        **_POINTS,
    ),
    Case(
        "wasserstein_1d",
        _with_masses(_lines),
        wasserstein_1d,
        options=({}, {"order": 3.0}),
        corners=((*_LINE, *_MASSES), (*_LINE, *_NOTHING)),
        hard=_hard_with_masses(lambda _: _SETS),
        every_slope=False,
        **_WEIGHED,
    ),
    Case(
        "sliced_wasserstein",
        _with_directions,
        sliced_wasserstein,
        options=({}, {"order": 1.0}),
        hard=_hard_directions,
        differentiable=(0, 1, 2),
        shared=(2,),
        relative_to_item=(0, 1, 2),
        sorts=True,
    ),
    Case("energy_distance", _points, energy_distance, corners=(_PLANE,), hard=_hard_points, **_POINTS),
    Case(
        "energy_distance",
        _on_a_line,
        energy_distance,
        corners=(_COLUMN,),
        hard=_hard_on_a_line,
        variant="-line",
        **_POINTS,
    ),
    Case(
        "energy_distance",
        _with_masses(_points),
        energy_distance,
        corners=((*_PLANE, *_MASSES), (*_PLANE, *_NOTHING)),
        hard=_hard_with_masses(_hard_points),
        **_WEIGHED,
    ),
    Case(
        "energy_distance",
        _with_masses(_on_a_line),
        energy_distance,
        corners=((*_COLUMN, *_MASSES),),
        hard=_hard_with_masses(_hard_on_a_line),
        **_WEIGHED | {"variant": "-line-masses"},
    ),
    Case("mmd", _points, mmd, options=_OF_KERNELS, corners=(_PLANE,), hard=_hard_for_kernels, **_POINTS),
    # An unbiased one of sets far apart is a difference of numbers about 1.
    Case(
        "mmd",
        _points,
        mmd,
        options=({"unbiased": True}, {"unbiased": True, "kernel": "laplacian"}),
        hard=_hard_unbiased,
        **_POINTS,
    ),
    Case(
        "mmd",
        _with_masses(_points),
        mmd,
        corners=((*_PLANE, *_MASSES), (*_PLANE, *_NOTHING)),
        hard=_hard_with_masses(_hard_for_kernels),
        **_WEIGHED,
    ),
    Case("sinkhorn_divergence", _points, sinkhorn_divergence, hard=_hard_entropic, **_POINTS),
    Case(
        "sinkhorn_divergence",
        _with_masses(_points),
        sinkhorn_divergence,
        options=({}, {"epsilon": 2.5}),
        corners=((*_PLANE, *_NOTHING),),
        hard=_hard_with_masses(_hard_entropic),
        **_WEIGHED,
    ),
    Case(
        "gaussian_wasserstein",
        _gaussians,
        gaussian_wasserstein,
        corners=(
            (0.0, 0.0, 0.0, 0.0),
            (1.0, -np.inf, 1.0, -np.inf),
            (1.0, -np.inf, 0.0, 1.0),
            (0.0, 300.0, 0.0, 300.0),
        ),
        differentiable=(0, 1, 2, 3),
        hard=_hard_gaussians,
    ),
)

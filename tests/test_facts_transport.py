"""What transport and the distances of distributions are known to be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

import jaxloss
from jaxloss import reduce

RNG = np.random.default_rng(0)
P, Q = RNG.normal(size=(6, 3)).astype(np.float32), RNG.normal(size=(8, 3)).astype(np.float32)
A, B = RNG.uniform(0.1, 1, 6).astype(np.float32), RNG.uniform(0.1, 1, 8).astype(np.float32)
DIRECTIONS = RNG.normal(size=(5, 3)).astype(np.float32)

OF_POINTS = {
    "wasserstein_1d": lambda p, q, a, b: jaxloss.wasserstein_1d(p[:, 0], q[:, 0], a, b),
    "sliced_wasserstein": lambda p, q, a, b: jaxloss.sliced_wasserstein(p, q, DIRECTIONS, a, b),
    "energy_distance": jaxloss.energy_distance,
    "energy_distance of one dimension": lambda p, q, a, b: jaxloss.energy_distance(p[:, :1], q[:, :1], a, b),
    "sinkhorn_divergence": jaxloss.sinkhorn_divergence,
    "mmd": jaxloss.mmd,
    "mmd, unbiased": lambda p, q, a, b: jaxloss.mmd(p, q, a, b, unbiased=True),
}
of_points = pytest.mark.parametrize("loss", OF_POINTS.values(), ids=OF_POINTS.keys())


@pytest.mark.parametrize("masses", [(None, None), (A, B), (A, None), (None, B)])
def test_scipy_says_so(masses):
    p, q = P[:, 0], Q[:, 0]
    np.testing.assert_allclose(
        jaxloss.wasserstein_1d(p, q, *masses), scipy.stats.wasserstein_distance(p, q, *masses), rtol=1e-5
    )
    expected = scipy.stats.energy_distance(p, q, *masses) ** 2
    np.testing.assert_allclose(jaxloss.energy_distance(p[:, None], q[:, None], *masses), expected, rtol=1e-5)


def test_the_energy_distance_of_one_dimension_is_that_of_more():
    flat = np.zeros((1, 2), np.float32)
    in_space = jaxloss.energy_distance(P[:, :1] + flat, Q[:, :1] + flat, A, B) / np.sqrt(2)
    np.testing.assert_allclose(jaxloss.energy_distance(P[:, :1], Q[:, :1], A, B), in_space, rtol=1e-5)


def test_the_energy_distance_to_a_point_is_twice_the_energy_score():
    np.testing.assert_allclose(jaxloss.energy_distance(P, Q[:1]), 2 * jaxloss.energy_score(P, Q[0]), rtol=1e-6)


@pytest.mark.sampled(9)
@of_points
def test_equal_masses_are_no_masses(loss):
    ones = np.full(6, 2.5, np.float32), np.full(8, 0.1, np.float32)
    np.testing.assert_allclose(loss(P, Q, *ones), loss(P, Q, None, None), rtol=2e-5)


@pytest.mark.sampled(9)
@of_points
def test_a_point_without_mass_is_not_there(loss):
    def deleted(a):
        return loss(np.delete(P, 2, 0), Q, a, B)

    without = np.where(np.arange(6) == 2, 0, A).astype(np.float32)
    value, slope = jax.jit(jax.value_and_grad(deleted))(np.delete(A, 2))
    call = jax.jit(jax.value_and_grad(lambda p, a: loss(p, Q, a, B), (0, 1)))
    for poison in (np.nan, np.inf, 1e38):
        poisoned = np.where(np.arange(6)[:, None] == 2, poison, P).astype(np.float32)
        found, (in_p, in_a) = call(poisoned, without)
        np.testing.assert_allclose(found, value, rtol=1e-5)
        np.testing.assert_allclose(np.delete(in_a, 2), slope, rtol=1e-4, atol=1e-6)
        assert in_a[2] == 0
        assert not np.any(in_p[2])
        assert np.all(np.isfinite(in_p))


@pytest.mark.parametrize(
    "loss", ["energy_distance", "energy_distance of one dimension", "mmd", "mmd, unbiased", "sinkhorn_divergence"]
)
def test_to_a_set_without_points_it_is_0(loss):
    none = np.zeros((0, 3), np.float32)
    for p, q in ((P, none), (none, P)):
        value, gradients = jax.jit(jax.value_and_grad(lambda p, q: OF_POINTS[loss](p, q, None, None), (0, 1)))(p, q)
        assert value == 0
        assert not any(map(np.any, gradients))


@pytest.mark.sampled(9)
@of_points
def test_where_a_set_has_no_mass_it_is_0(loss):
    value, gradients = jax.jit(jax.value_and_grad(loss, (0, 1, 2, 3)))(P, Q, 0 * A, B)
    assert value == 0
    assert not any(map(np.any, gradients))


@pytest.mark.sampled(9)
@of_points
def test_a_negative_mass_is_not_a_number(loss):
    assert np.isnan(loss(P, Q, -A, B))


@pytest.mark.sampled(9)
@of_points
def test_the_same_set_is_at_distance_0(loss):
    if loss is OF_POINTS["mmd, unbiased"]:
        return
    value, gradients = jax.jit(jax.value_and_grad(loss, (0, 1)))(P, P, None, None)
    # Sinkhorn's three transports cancel to a few last digits of the largest cost, about 10.
    np.testing.assert_allclose(value, 0, atol=3e-6 if loss is jaxloss.sinkhorn_divergence else 0)
    np.testing.assert_allclose(gradients, 0, atol=1e-6 if loss is jaxloss.sinkhorn_divergence else 1e-7)


def test_points_that_are_equal_have_the_same_gradient():
    p, q = jnp.array([1.0, 1.0, 3.0]), jnp.array([0.5, 1.5, 4.0])
    np.testing.assert_allclose(jax.jit(jax.grad(jaxloss.wasserstein_1d))(p, q), [0, 0, -1 / 3], atol=1e-7)
    first, second, _ = jax.jit(jax.grad(jaxloss.energy_distance))(p[:, None], q[:, None])[:, 0]
    assert first == second


@pytest.mark.parametrize("apart", [1e-3, 1.0, 6.0, 30.0])
def test_the_unbiased_discrepancy_is_right_near_and_far(apart):
    """In scales: by one minus the kernel alone it is a difference of numbers near 1 where points are far apart."""
    p, q = np.float32(apart) * P, np.float32(apart) * Q
    x, y = p.astype(float), q.astype(float)
    k = [np.exp(-0.5 * np.square(u[:, None] - v[None]).sum(-1)) for u, v in ((x, x), (y, y), (x, y))]
    within = [(x.sum() - len(x)) / (len(x) * (len(x) - 1)) for x in k[:2]]
    np.testing.assert_allclose(jaxloss.mmd(p, q, unbiased=True), sum(within) - 2 * k[2].mean(), rtol=3e-5)


def test_one_point_has_no_pair_with_another():
    np.testing.assert_allclose(
        jaxloss.mmd(P[:1], Q[:1], unbiased=True), -2 * np.exp(-0.5 * np.sum((P[0] - Q[0]) ** 2)), rtol=1e-5
    )


def test_a_kernel_of_ones_own():
    def linear(u, v):
        return jnp.sum(u * v, -1)

    means = P.mean(0) - Q.mean(0)
    np.testing.assert_allclose(jaxloss.mmd(P, Q, kernel=linear), means @ means, rtol=1e-4)
    unbiased = sum((x.sum(0) @ x.sum(0) - np.sum(x * x)) / (len(x) * (len(x) - 1)) for x in (P, Q))
    expected = unbiased - 2 * P.mean(0) @ Q.mean(0)
    np.testing.assert_allclose(jaxloss.mmd(P, Q, kernel=linear, unbiased=True), expected, rtol=1e-4)


def test_the_length_of_a_direction_says_nothing():
    lengths = np.array([[1e-20], [1e20], [1], [3], [0]], np.float32)
    np.testing.assert_allclose(
        jaxloss.sliced_wasserstein(P, Q, DIRECTIONS * lengths),
        0.8 * jaxloss.sliced_wasserstein(P, Q, DIRECTIONS[:4]),
        rtol=1e-5,
    )


@pytest.mark.sweep
def test_of_many_directions_some_are_sorted_at_a_time(monkeypatch):
    from jaxloss.losses.transport import lines

    whole = jax.jit(jax.value_and_grad(jaxloss.sliced_wasserstein))(P, Q, DIRECTIONS)
    monkeypatch.setattr(lines, "_NUMBERS", 28)
    in_blocks = jax.jit(jax.value_and_grad(lambda *x: jaxloss.sliced_wasserstein(*x) + 0))(P, Q, DIRECTIONS)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), whole, in_blocks)


def test_gaussians_are_as_far_as_their_samples():
    quantiles = scipy.stats.norm.ppf((np.arange(20000) + 0.5) / 20000).astype(np.float32)
    samples = jaxloss.wasserstein_1d(1 + quantiles, 2 * quantiles, order=2.0)
    np.testing.assert_allclose(jaxloss.gaussian_wasserstein(1.0, 0.0, 0.0, np.log(4.0)), samples, rtol=1e-3)


def test_the_ranked_probability_score_is_the_crps_of_a_histogram():
    ensemble = np.array([0, 0, 1, 3, 3, 3, 4, 1, 0, 2], np.float32)
    share = np.bincount(ensemble.astype(int)).astype(np.float32) / 10
    for label in range(5):
        np.testing.assert_allclose(
            jaxloss.ranked_probability_score(share, label),
            jaxloss.crps_ensemble(ensemble, np.float32(label)),
            rtol=1e-5,
        )


def test_of_little_entropy_the_sinkhorn_divergence_is_the_cost_of_transport():
    """By SciPy's linear programme."""
    cost = np.square(P[:, None].astype(float) - Q[None]).sum(-1)
    rows, columns = np.kron(np.eye(6), np.ones(8)), np.kron(np.ones(6), np.eye(8))
    masses = np.concatenate([A / A.sum(), B / B.sum()])
    exact = scipy.optimize.linprog(cost.ravel(), A_eq=np.vstack([rows, columns])[:-1], b_eq=masses[:-1]).fun
    found = jaxloss.sinkhorn_divergence(P, Q, A, B, epsilon=0.01, iterations=2000)
    np.testing.assert_allclose(found, exact, rtol=5e-3)


def test_far_more_entropy_makes_it_the_squared_distance_of_means():
    means = P.mean(0) - Q.mean(0)
    np.testing.assert_allclose(jaxloss.sinkhorn_divergence(P, Q, epsilon=1e4), means @ means, rtol=5e-3)


def test_a_cost_of_ones_own():
    def doubled(u, v):
        return 2 * jnp.sum(jnp.square(u - v), -1)

    found = jaxloss.sinkhorn_divergence(P, Q, cost=doubled, epsilon=2.0)
    np.testing.assert_allclose(found, 2 * jaxloss.sinkhorn_divergence(P, Q), rtol=1e-5)


def test_the_cost_of_sinkhorn_may_be_learnt():
    kernel = np.random.default_rng(3).normal(size=(3, 2)).astype(np.float32)

    def inside(kernel):
        return jaxloss.sinkhorn_divergence(P, Q, cost=lambda u, v: jnp.sum(jnp.square((u - v) @ kernel), axis=-1))

    def outside(kernel):
        return jaxloss.sinkhorn_divergence(P @ kernel, Q @ kernel)

    for slope in (jax.grad, jax.jacfwd, lambda f: jax.grad(lambda kernel: jnp.sum(jax.grad(f)(kernel)))):
        truth = jax.jit(slope(outside))(kernel)
        np.testing.assert_allclose(jax.jit(slope(inside))(kernel), truth, atol=2e-5 * np.max(np.abs(truth)))


@pytest.mark.parametrize("loss", [jaxloss.energy_distance, jaxloss.mmd, jaxloss.sinkhorn_divergence])
def test_memory_follows_the_points_and_not_the_pairs(loss):
    points = 4096
    array = jax.ShapeDtypeStruct((points, 3), jnp.float32)
    program = jax.jit(jax.value_and_grad(loss, (0, 1))).lower(array, array).compile()
    assert program.memory_analysis().temp_size_in_bytes < points**2 * 4 / 4


def test_the_root_is_taken_over_all_pairs_of_sets():
    loss = reduce(jaxloss.wasserstein_1d, lambda t: jaxloss.numerics.safe_sqrt(t.mean))
    expected = np.sqrt(np.mean((np.sort(P, -1) - np.sort(Q[:6], -1)) ** 2))
    np.testing.assert_allclose(loss(P, Q[:6], order=2.0), expected, rtol=1e-5)

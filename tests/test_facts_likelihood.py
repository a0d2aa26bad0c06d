"""Likelihoods and scores are those of SciPy and scikit-learn, and each other's limits."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats
from sklearn import metrics

import jaxloss

N = 40


def values(loss, *arrays, **options):
    with jax.enable_x64(True):
        return np.asarray(jaxloss.reduce(loss, "none")(*map(jnp.asarray, arrays), **options))


def real(rng):
    return rng.normal(size=N) * 3, rng.normal(size=N), rng.normal(size=N)


def counted(rng):
    return rng.normal(size=N) + 1, rng.poisson(5, N).astype(float), rng.normal(size=N)


def positive(rng):
    return rng.normal(size=N), rng.gamma(2, 1, N), rng.normal(size=N)


def negative_binomial(m, k, a):
    shape = np.exp(-a)
    return stats.nbinom.logpmf(k, shape, shape / (shape + np.exp(m)))


SCIPY = {
    "gaussian_nll": (real, lambda m, y, s: stats.norm.logpdf(y, m, np.exp(s / 2)), {}),
    "laplace_nll": (real, lambda m, y, s: stats.laplace.logpdf(y, m, np.exp(s)), {}),
    "student_t_nll": (real, lambda m, y, s: stats.t.logpdf(y, 3.5, m, np.exp(s)), {"degrees_of_freedom": 3.5}),
    "poisson_nll": (counted, lambda x, k, _: stats.poisson.logpmf(k, np.exp(x)), {}),
    "negative_binomial_nll": (counted, negative_binomial, {}),
    "gamma_nll": (positive, lambda m, y, a: stats.gamma.logpdf(y, np.exp(a), scale=np.exp(m - a)), {}),
}


@pytest.mark.parametrize("name", SCIPY)
def test_a_likelihood_is_that_of_scipy(name, rng):
    draw, logarithm, options = SCIPY[name]
    arrays = draw(rng)
    taken = arrays[: 2 + (name != "poisson_nll")]
    np.testing.assert_allclose(values(jaxloss.catalogue[name], *taken, **options), -logarithm(*arrays), rtol=1e-11)


DEVIANCES = {
    0.0: metrics.mean_squared_error,
    1.0: metrics.mean_poisson_deviance,
    2.0: metrics.mean_gamma_deviance,
    **{p: functools.partial(metrics.mean_tweedie_deviance, power=p) for p in (1.5, 3.0)},
}


@pytest.mark.parametrize("power", DEVIANCES)
def test_a_tweedie_deviance_is_that_of_scikit_learn(power, rng):
    log_mean, target, _ = positive(rng)
    expected = DEVIANCES[power](target, np.exp(log_mean))
    np.testing.assert_allclose(
        values(jaxloss.tweedie_deviance, log_mean, target, power=power).mean(), expected, rtol=1e-12
    )


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_powers_beside_an_integer_are_near_it(power, rng):
    log_mean, target, _ = positive(rng)
    at = values(jaxloss.tweedie_deviance, log_mean, target, power=power)
    beside = values(jaxloss.tweedie_deviance, log_mean, target, power=power + 1e-9)
    np.testing.assert_allclose(beside, at, rtol=1e-7)


@pytest.mark.parametrize("kind", [float, np.float64])
def test_a_power_that_is_no_distribution_is_refused(kind):
    with pytest.raises(ValueError, match=r"tweedie_deviance: power must be"):
        jaxloss.tweedie_deviance(0.0, 1.0, power=kind(-1.0))


def test_a_power_between_0_and_1():
    with pytest.raises(ValueError, match=r"power must be 0 or >= 1, got 0.5"):
        jaxloss.tweedie_deviance(0.0, 1.0, power=0.5)
    assert np.isnan(jaxloss.tweedie_deviance(0.0, 1.0, power=jnp.float32(0.5)))


def test_the_brier_score_is_that_of_scikit_learn(rng):
    probabilities, labels = rng.dirichlet(np.ones(4), N), rng.integers(0, 4, N)
    expected = metrics.brier_score_loss(labels, probabilities, labels=range(4), scale_by_half=False)
    np.testing.assert_allclose(values(jaxloss.brier, probabilities, labels).mean(), expected, rtol=1e-12)


@pytest.mark.parametrize(("mean", "target", "log_scale"), [(0.3, 1.0, 0.2), (-1.0, 4.0, -0.5), (0.0, 0.0, 1.0)])
def test_the_score_of_a_gaussian_is_the_integral_over_its_distribution(mean, target, log_scale):
    distribution = stats.norm(mean, np.exp(log_scale))
    below, _ = integrate.quad(lambda t: distribution.cdf(t) ** 2, mean - 40, target, epsabs=1e-12, limit=200)
    above, _ = integrate.quad(lambda t: distribution.sf(t) ** 2, target, mean + 40, epsabs=1e-12, limit=200)
    np.testing.assert_allclose(values(jaxloss.crps_gaussian, mean, target, log_scale), below + above, rtol=1e-9)


def test_the_score_of_an_ensemble_is_its_definition_over_pairs(rng):
    samples, target = rng.normal(size=(N, 9)).round(1), rng.normal(size=N).round(1)
    pairs = np.abs(samples[:, :, None] - samples[:, None, :]).mean((1, 2))
    expected = np.abs(samples - target[:, None]).mean(1) - pairs / 2
    np.testing.assert_allclose(values(jaxloss.crps_ensemble, samples, target), expected, rtol=1e-12, atol=1e-15)


def test_in_one_dimension_the_energy_score_is_that_of_an_ensemble(rng):
    samples, target = rng.normal(size=(N, 7)), rng.normal(size=N)
    with jax.enable_x64(True):
        flat = jax.jit(jax.value_and_grad(jaxloss.crps_ensemble, (0, 1)))(jnp.asarray(samples), jnp.asarray(target))
        deep = jax.jit(jax.value_and_grad(lambda x, y: jaxloss.energy_score(x[..., None], y[..., None]), (0, 1)))(
            jnp.asarray(samples), jnp.asarray(target)
        )
    for one, other in zip(jax.tree.leaves(flat), jax.tree.leaves(deep), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-15)


def test_a_large_ensemble_of_a_gaussian_has_its_score():
    samples = stats.norm.ppf((np.arange(20000) + 0.5) / 20000)
    for target in (0.0, 0.7, -3.0):
        np.testing.assert_allclose(
            values(jaxloss.crps_ensemble, samples, target), values(jaxloss.crps_gaussian, 0.0, target, 0.0), rtol=1e-3
        )


@pytest.mark.parametrize("samples", list(itertools.permutations([1.0, 1.0, 3.0])))
def test_equal_members_share_a_slope(samples):
    slopes = np.asarray(jax.jit(jax.grad(jaxloss.crps_ensemble))(jnp.array(samples), 2.0))
    np.testing.assert_allclose(slopes[np.array(samples) == 1.0], -2 / 9, rtol=1e-6)
    np.testing.assert_allclose(slopes[np.array(samples) == 3.0], 1 / 9, rtol=1e-6)


def test_memory_of_the_energy_score_follows_the_members_and_not_their_pairs():
    samples, target = jnp.zeros((2048, 64)), jnp.zeros(64)
    compiled = jax.jit(jax.value_and_grad(jaxloss.energy_score)).lower(samples, target).compile()
    one_number_a_pair = 4 * 2048**2
    assert compiled.memory_analysis().temp_size_in_bytes < one_number_a_pair / 2


def test_many_degrees_of_freedom_are_a_gaussian(rng):
    location, target, log_scale = real(rng)
    student = values(jaxloss.student_t_nll, location, target, log_scale - 1, degrees_of_freedom=1e12)
    gaussian = values(jaxloss.gaussian_nll, location, target, 2 * (log_scale - 1))
    np.testing.assert_allclose(student, gaussian, rtol=1e-7)


def test_no_dispersion_is_poisson(rng):
    log_mean, target, _ = counted(rng)
    poisson = values(jaxloss.poisson_nll, log_mean, target)
    for log_dispersion, tolerance in ((-np.inf, 1e-15), (-25.0, 1e-8)):
        got = values(jaxloss.negative_binomial_nll, log_mean, target, np.full(N, log_dispersion))
        np.testing.assert_allclose(got, poisson, rtol=tolerance)


def test_counts_of_shape_1_are_geometric_and_outcomes_of_shape_1_exponential(rng):
    log_mean, target, _ = counted(rng)
    geometric = -stats.geom.logpmf(target + 1, 1 / (1 + np.exp(log_mean)))
    np.testing.assert_allclose(
        values(jaxloss.negative_binomial_nll, log_mean, target, np.zeros(N)), geometric, rtol=1e-12
    )
    exponential = -stats.expon.logpdf(target, scale=np.exp(log_mean))
    np.testing.assert_allclose(values(jaxloss.gamma_nll, log_mean, target + 1e-9, np.zeros(N)), exponential, rtol=1e-8)


def test_a_deviance_is_twice_what_the_likelihood_lacks_of_the_best(rng):
    log_mean, target, log_shape = positive(rng)
    count = np.ceil(target)
    lack = values(jaxloss.poisson_nll, log_mean, count) - values(jaxloss.poisson_nll, np.log(count), count)
    np.testing.assert_allclose(
        values(jaxloss.tweedie_deviance, log_mean, count, power=1.0), 2 * lack, rtol=1e-9, atol=1e-12
    )
    best = values(jaxloss.gamma_nll, np.log(target), target, log_shape)
    lack = (values(jaxloss.gamma_nll, log_mean, target, log_shape) - best) / np.exp(log_shape)
    np.testing.assert_allclose(
        values(jaxloss.tweedie_deviance, log_mean, target, power=2.0), 2 * lack, rtol=1e-9, atol=1e-12
    )


CURVATURES = {
    "counts-none": (lambda m: jaxloss.negative_binomial_nll(m, 0.0, 0.0), -50.0, 1.9287498e-22),
    "counts-far": (lambda m: jaxloss.negative_binomial_nll(m, 2.0, 0.0), 18.0, 4.5689939e-08),
    "student-far": (lambda s: jaxloss.student_t_nll(1.0, 0.0, s, degrees_of_freedom=3.0), -42.0, 24 * np.exp(-84.0)),
}


@pytest.mark.parametrize("place", CURVATURES)
@pytest.mark.parametrize("how", [jax.hessian, lambda f: jax.grad(jax.grad(f))])
def test_a_curvature_far_out(place, how):
    term, x, true = CURVATURES[place]
    np.testing.assert_allclose(jax.jit(how(term))(x), true, rtol=1e-2)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e20])
def test_the_distance_of_equal_vectors_of_any_length(size):
    anchor = size * jnp.array([1.0, -2.0])
    value, slope = jax.jit(jax.value_and_grad(jaxloss.triplet))(anchor, anchor, anchor)
    np.testing.assert_allclose(value, 0.2, rtol=1e-6)
    np.testing.assert_array_equal(slope, 0)

"""What relates the divergences and the adversarial losses to each other and to what others compute."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.integrate
import scipy.spatial.distance
import scipy.special

import jaxloss

K = 6


@pytest.fixture
def p(rng):
    return rng.dirichlet(np.ones(K), 5).astype(np.float32)


@pytest.fixture
def q(rng):
    return rng.dirichlet(np.ones(K), 7)[2:].astype(np.float32)


@pytest.fixture
def logits(rng):
    return tuple((rng.normal(size=(5, K)) * 3).astype(np.float32) for _ in range(2))


def values(loss, *arrays, **options):
    return jaxloss.reduce(functools.partial(loss, **options), "none")(*arrays)


close = functools.partial(np.testing.assert_allclose, rtol=2e-6)


# --------------------------------------------------------------------------------------------------------- divergences


def test_scipy_agrees(p, q):
    close(values(jaxloss.kl_divergence, p, q), scipy.special.rel_entr(p, q).sum(-1))
    close(values(jaxloss.generalized_kl_divergence, 3 * p, q), scipy.special.kl_div(3 * p, q).sum(-1))
    distance = scipy.spatial.distance.jensenshannon(p.astype(float), q.astype(float), axis=-1)
    close(values(jaxloss.jensen_shannon_divergence, p, q), distance**2, rtol=1e-5)


def test_optax_agrees(p, q):
    close(values(jaxloss.kl_divergence, p, q), optax.losses.kl_divergence(jnp.log(q), p), rtol=1e-5)
    generalized = values(jaxloss.generalized_kl_divergence, 3 * p, q)
    close(generalized, optax.losses.generalized_kl_divergence(jnp.log(q), 3 * p), rtol=1e-5)


def test_generalized_kl_of_distributions_is_kl():
    p, q = np.float32([[0.25, 0.5, 0.25], [0.125, 0.375, 0.5]])
    close(jaxloss.generalized_kl_divergence(p, q), jaxloss.kl_divergence(p, q))


@pytest.mark.parametrize("away", [0.0, 2**-20, -(2**-20), 1e-10])
def test_renyi_of_order_one_is_kl(away):
    # Sums of exactly 1: what is missing of that is divided by alpha - 1.
    p, q = np.float32([[0.25, 0.5, 0.25], [0.125, 0.375, 0.5]])

    def renyi(alpha):
        return jax.value_and_grad(jaxloss.renyi_divergence, (0, 1))(p, q, alpha=alpha)

    for evaluate in (renyi, jax.jit(renyi)):
        close(evaluate(1 + away)[0], jaxloss.kl_divergence(p, q), rtol=1e-5)
    value, slopes = jax.jit(renyi)(1.0)
    close(value, jaxloss.kl_divergence(p, q))
    for slope, true in zip(slopes, jax.jit(jax.grad(jaxloss.kl_divergence, (0, 1)))(p, q), strict=True):
        close(slope, true)


def test_renyi_of_order_one_rises_by_half_the_variance():
    p, q = np.float32([[0.25, 0.5, 0.25], [0.125, 0.375, 0.5]])
    surprise = np.log(p / q)
    variance = np.sum(p * surprise**2) - np.sum(p * surprise) ** 2
    for alpha in (1.0, 1 + 2**-20, 1 - 2**-20):
        close(
            jax.jit(jax.grad(lambda alpha: jaxloss.renyi_divergence(p, q, alpha=alpha)))(alpha), variance / 2, rtol=1e-5
        )


def test_renyi_of_order_half_is_a_function_of_hellinger(p, q):
    hellinger = values(jaxloss.hellinger_distance, p, q)
    close(values(jaxloss.renyi_divergence, p, q, alpha=0.5), -2 * np.log1p(-(hellinger**2)), rtol=1e-5)


def test_renyi_grows_with_its_order(p, q):
    orders = [values(jaxloss.renyi_divergence, p, q, alpha=alpha) for alpha in (0.0, 0.3, 0.9, 1.0, 1.1, 2.0, 10.0)]
    assert (np.diff(orders, axis=0) > -1e-6).all()


@pytest.mark.parametrize("alpha", [-0.1, np.inf, np.nan])
def test_an_order_that_is_none_is_refused(p, q, alpha):
    with pytest.raises(ValueError, match="alpha"):
        jaxloss.renyi_divergence(p, q, alpha=alpha)


def test_jensen_shannon_is_symmetric_and_bounded(p, q):
    value = values(jaxloss.jensen_shannon_divergence, p, q)
    close(value, values(jaxloss.jensen_shannon_divergence, q, p))
    assert (value <= np.log(2)).all()
    apart = np.eye(2, dtype=np.float32)
    close(jaxloss.jensen_shannon_divergence(apart[0], apart[1]), np.log(2))


def test_inequalities(p, q):
    variation = values(jaxloss.total_variation_distance, p, q)
    hellinger = values(jaxloss.hellinger_distance, p, q)
    kl, js = values(jaxloss.kl_divergence, p, q), values(jaxloss.jensen_shannon_divergence, p, q)
    assert (2 * variation**2 <= kl).all()  # Pinsker
    assert (hellinger**2 <= variation).all()
    assert (variation <= np.sqrt(2) * hellinger).all()
    assert (2 * hellinger**2 <= kl).all()
    assert (js <= np.log(2) * variation).all()  # Lin


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_from_logits_as_from_probabilities(logits, temperature):
    p, q = (jax.nn.softmax(x / np.float32(temperature)) for x in logits)
    from_logits = values(jaxloss.kl_divergence_with_logits, *logits, temperature=temperature)
    close(from_logits, values(jaxloss.kl_divergence, p, q), rtol=1e-5)
    if temperature == 1:
        from_logits = values(jaxloss.jensen_shannon_divergence_with_logits, *logits)
        close(from_logits, values(jaxloss.jensen_shannon_divergence, p, q), rtol=1e-5)


def test_masked_classes_in_both_logits_are_deleted_classes(logits):
    x, z = logits
    masked = [np.concatenate([row, np.full((5, 2), -np.inf, np.float32)], axis=-1) for row in logits]
    for loss in (jaxloss.kl_divergence_with_logits, jaxloss.jensen_shannon_divergence_with_logits):
        close(loss(*masked), loss(x, z))
        gradient = jax.jit(jax.grad(loss, (0, 1)))
        for slope, true in zip(gradient(*masked), gradient(x, z), strict=True):
            close(slope[:, :K], true, rtol=1e-5, atol=1e-8)
            assert not slope[:, K:].any()


@pytest.mark.parametrize("p", [(0.3, 0.5), (-1.0, -0.7), (0.0, 0.0)])
@pytest.mark.parametrize("q", [(0.1, 0.2), (0.0, 0.0)])
def test_gaussian_kl_is_the_integral(p, q):
    def log_density(x, mean, log_variance):
        return -0.5 * ((x - mean) ** 2 / np.exp(log_variance) + log_variance + np.log(2 * np.pi))

    def integrand(x):
        return np.exp(log_density(x, *p)) * (log_density(x, *p) - log_density(x, *q))

    integral, _ = scipy.integrate.quad(integrand, -20, 20, epsabs=1e-12)
    close(jaxloss.gaussian_kl_divergence(*p, *q), integral, rtol=1e-5, atol=1e-7)
    if q == (0.0, 0.0):
        close(jaxloss.standard_normal_kl_divergence(*p), integral, rtol=1e-5, atol=1e-7)


def test_standard_normal_kl_is_gaussian_kl(rng):
    mean, log_variance = rng.normal(size=(2, 20)).astype(np.float32)
    zero = np.zeros(20, np.float32)
    value = values(jaxloss.standard_normal_kl_divergence, mean, log_variance)
    close(value, values(jaxloss.gaussian_kl_divergence, mean, log_variance, zero, zero))


# --------------------------------------------------------------------------------------------------------- adversarial


@pytest.fixture
def scores(rng):
    return rng.normal(size=(2, 20)).astype(np.float32) * 2


def test_gan_from_logits_as_from_probabilities(scores):
    real, fake = scores
    from_logits = values(jaxloss.gan_discriminator_with_logits, real, fake)
    close(from_logits, values(jaxloss.gan_discriminator, jax.nn.sigmoid(real), jax.nn.sigmoid(fake)), rtol=1e-5)


def test_gan_is_half_of_two_cross_entropies(scores):
    real, fake = scores
    entropies = [
        values(jaxloss.sigmoid_binary_cross_entropy, logits, np.full(20, target, np.float32))
        for logits, target in ((real, 1), (fake, 0))
    ]
    close(values(jaxloss.gan_discriminator_with_logits, real, fake), sum(entropies) / 2)


def test_minimax_is_a_game_of_zero_sum(scores):
    # What a fake costs the discriminator, twice its half, is what it gains the generator; so too for the critic.
    real, fake = scores
    of_the_fake = jax.vmap(jax.grad(jaxloss.gan_discriminator_with_logits, 1))(real, fake)
    close(2 * of_the_fake, -jax.vmap(jax.grad(jaxloss.gan_generator_with_logits))(fake))
    critic, generator = jaxloss.wgan_critic(real, fake), jaxloss.wgan_generator(fake)
    close(critic + generator, -np.mean(real), rtol=1e-5)


def test_the_generators_differ_by_the_logit(scores):
    _, fake = scores
    apart = values(jaxloss.gan_nonsaturating_generator, fake) - values(jaxloss.gan_generator_with_logits, fake)
    close(apart, 2 * jax.nn.softplus(fake) - fake, rtol=1e-5)


def test_the_relativistic_pair(scores):
    real, fake = scores
    value = values(jaxloss.relativistic_gan_discriminator, real, fake)
    close(value, values(jaxloss.relativistic_gan_generator, fake, real))
    close(value, values(jaxloss.gan_nonsaturating_generator, real - fake))
    close(value, values(jaxloss.relativistic_gan_discriminator, real + 8, fake + 8), rtol=1e-5)


def test_hinge_gan_is_two_hinges(scores):
    real, fake = scores
    two = np.maximum(0, 1 - real) + np.maximum(0, 1 + fake)
    close(values(jaxloss.hinge_gan_discriminator, real, fake), two)
    np.testing.assert_array_equal(values(jaxloss.hinge_gan_generator, fake), values(jaxloss.wgan_generator, fake))


def test_lsgan_is_half_of_squared_errors(scores):
    real, fake = scores
    one, zero = np.ones(20, np.float32), np.zeros(20, np.float32)
    squared = values(jaxloss.squared_error, real, one) + values(jaxloss.squared_error, fake, zero)
    close(values(jaxloss.lsgan_discriminator, real, fake), squared / 2)
    close(values(jaxloss.lsgan_generator, fake), values(jaxloss.squared_error, fake, one) / 2)

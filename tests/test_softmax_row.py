"""The row of a softmax: its sweep in any order of a chip, and a maximum that another kernel has rounded otherwise."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from jaxloss.numerics import row as rows
from jaxloss.numerics import softmax

ROWS = {
    "ordinary": [0.3, -2.1, 1.7, 0.2, -0.6, 1.1, -3.0],
    "ties": [2.5, -1.0, 2.5, 2.5, 0.0, 2.5, 1.0],
    "confident": [20.3, 0.1, -1.0, 0.4, 0.25, -7.5, 0.0],
    "impossible": [-np.inf, 3.1, -np.inf, 1.0, 0.5, -np.inf, -2.0],
    "alone": [-np.inf, -np.inf, 3.1, -np.inf, -np.inf, -np.inf, -np.inf],
    "far": [1e30, -1e30, 0.0, 1e4, 1e30, 5.0, -1e4],
}
TARGETS = {
    "one-hot": [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    "of any": [0.1, 0.25, 0.05, 0.2, 0.0, 0.3, 0.1],
    "nearly": [0.999, 0.0, 0.001, 0.0, 0.0, 0.0, 0.0],
}


def surprisals(row):
    """In float64, each without a subtraction from the sum of all."""
    x = np.array(row, np.float64)
    found = []
    for j, xj in enumerate(x):
        others = np.delete(x, j)
        found.append(np.log1p(np.sum(np.exp(others - xj))) if xj > -np.inf and np.max(others) - xj < 700 else
                     np.max(x) - xj + np.log(np.sum(np.exp(x - np.max(x)))))  # fmt: skip
    return np.array(found)


def reduced(operands, start, join, seed):
    """By a random tree over a random order, in which the start is met anywhere, as a chip may reduce a row."""
    rng = np.random.default_rng(seed)
    parts = [[np.asarray(x)[j] for x in operands] for j in rng.permutation(np.shape(operands[0])[0])]
    for _ in range(3):
        parts.insert(rng.integers(len(parts) + 1), [jnp.asarray(x, operands[0].dtype) for x in start])
    while len(parts) > 1:
        k = rng.integers(len(parts) - 1)
        parts[k : k + 2] = [[jnp.asarray(x) for x in join(parts[k], parts[k + 1])]]
    return parts[0]


@pytest.fixture(params=range(3))
def any_order(request, monkeypatch):
    """What a chip is given, reduced in some order."""

    def reduce(operands, start, join, _):
        return reduced(operands, start, join, request.param)

    def on_a_chip(*arrays, default, **_):
        return default(*arrays)

    monkeypatch.setattr(jax.lax, "reduce", reduce)
    monkeypatch.setattr(jax.lax, "platform_dependent", on_a_chip)


@pytest.mark.usefixtures("any_order")
@pytest.mark.parametrize("name", ROWS)
def test_the_sweep_of_a_label(name):
    logits, expected = jnp.array(ROWS[name]), surprisals(ROWS[name])
    for label in (0, 2, 6):
        row = softmax.label_row(logits, jnp.array(label), spread=True)
        np.testing.assert_allclose(row.surprisal, expected[label], rtol=4e-6, atol=1e-37)
        finite = np.isfinite(expected)
        assert float(rows.swept(frozenset({"mean_surprisal"}), logits, jnp.array(label)).classes) == np.sum(finite)
        np.testing.assert_allclose(row.mean_surprisal, np.mean(expected[finite]), rtol=4e-6, atol=1e-37)


@pytest.mark.usefixtures("any_order")
@pytest.mark.parametrize(("name", "targets"), list(itertools.product(ROWS, TARGETS)))
@pytest.mark.sampled(5)
def test_the_sweep_of_targets(name, targets):
    logits, t, expected = jnp.array(ROWS[name]), TARGETS[targets], surprisals(ROWS[name])
    row = softmax.target_row(logits, jnp.array(t), shared=True)
    cost = sum(tj * s for tj, s in zip(t, expected, strict=True) if tj)
    complement = sum(tj * -np.expm1(-s) for tj, s in zip(t, expected, strict=True))
    np.testing.assert_allclose(row.surprisal, cost, rtol=4e-6, atol=1e-37)
    np.testing.assert_allclose(row.complement, complement, rtol=4e-6, atol=1e-37)


@pytest.mark.parametrize("ulps", [-2, -1, 1, 2])
@pytest.mark.parametrize("name", ["ordinary", "ties", "confident", "impossible"])
def test_a_maximum_that_another_kernel_has_rounded(name, ulps, monkeypatch):
    # What remains is what the same rounding of the logits does: at most 2 ulp of a logit.
    logits, expected, largest = jnp.array(ROWS[name]), surprisals(ROWS[name]), rows.largest_of
    for module in (rows, softmax):
        monkeypatch.setattr(module, "largest_of", lambda x: largest(x) + ulps * np.spacing(np.float32(max(ROWS[name]))))
    rtol = 1e-5
    for label in range(7):
        value, slope = jax.value_and_grad(lambda x, y=label: softmax.label_row(x, jnp.array(y)).surprisal)(logits)
        dense, dense_slope = jax.value_and_grad(
            lambda x, y=label: softmax.target_row(x, jnp.eye(7)[y]).surprisal
        )(logits)  # fmt: skip
        p = np.exp(-expected)
        p[label] = -np.sum(np.delete(p, label))
        for got, got_slope in ((value, slope), (dense, dense_slope)):
            assert got >= 0
            np.testing.assert_allclose(got, expected[label], rtol=rtol)
            np.testing.assert_allclose(got_slope, p, rtol=rtol, atol=rtol * np.max(np.abs(p)))


def test_the_confident_row_of_the_contract():
    logits = jnp.array([20.723, 0.0, -90.0])
    for cost in (
        lambda x: jaxloss.softmax_cross_entropy_with_integer_labels(x, 0),
        lambda x: jaxloss.softmax_cross_entropy(x, jnp.array([1.0, 0.0, 0.0])),
    ):
        value, slope = jax.value_and_grad(cost)(logits)
        true = np.exp(-np.float64(np.float32(20.723)))
        np.testing.assert_allclose(value, true, rtol=4e-6)
        np.testing.assert_allclose(slope[:2], [-true, true], rtol=4e-6)


LOSSES = {
    "labels": lambda x: jaxloss.softmax_cross_entropy_with_integer_labels(x, 2),
    "smoothed": lambda x: jaxloss.softmax_cross_entropy_with_integer_labels(x, 2, label_smoothing=0.1, z_loss=1e-3),
    "targets": lambda x: jaxloss.softmax_cross_entropy(x, jnp.array(TARGETS["of any"])),
    "focal": lambda x: jaxloss.softmax_focal(x, 2),
    "poly": lambda x: jaxloss.poly_cross_entropy(x, jnp.array(TARGETS["of any"])),
    "generalized": lambda x: jaxloss.generalized_cross_entropy(x, 2),
    "symmetric": lambda x: jaxloss.symmetric_cross_entropy(x, 2),
}


def by_jax(name, x):
    """The formula by jax.nn, in float64."""
    log_p = jax.nn.log_softmax(x)
    p, t, s = jnp.exp(log_p), jnp.array(TARGETS["of any"], x.dtype), -log_p[2]
    return {
        "labels": s,
        "smoothed": 0.9 * s - 0.1 * jnp.mean(log_p) + 1e-3 * jax.nn.logsumexp(x) ** 2,
        "targets": -jnp.sum(t * log_p),
        "focal": (1 - p[2]) ** 2 * s,
        "poly": jnp.sum(t * (-log_p + 2 * (1 - p))),
        "generalized": (1 - p[2] ** 0.7) / 0.7,
        "symmetric": 0.1 * s + 4 * (1 - p[2]),
    }[name]


@pytest.mark.parametrize(("name", "row"), list(itertools.product(LOSSES, ("ordinary", "ties"))))
@pytest.mark.sampled(5)
def test_second_and_third_derivatives(name, row):
    x = np.array(ROWS[row])
    direction = np.linspace(-1, 1, 7)
    with jax.enable_x64(True):
        hessian = jax.hessian(functools.partial(by_jax, name))
        second, third = jax.jit(lambda x, v: jax.jvp(hessian, (x,), (v,)))(x, direction)
    x, direction = x.astype(np.float32), direction.astype(np.float32)
    got = jax.jit(jax.hessian(LOSSES[name]))(x)
    np.testing.assert_allclose(got, second, rtol=1e-4, atol=1e-6)
    got = jax.jit(lambda x: jax.jvp(jax.hessian(LOSSES[name]), (x,), (direction,))[1])(x)
    np.testing.assert_allclose(got, third, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("platform", ["cpu", "tpu", "cuda"])
def test_the_sweep_is_never_lowered_for_a_cpu(platform):
    x, y = jnp.zeros((8, 100)), jnp.zeros(8, jnp.int32)
    for loss, target in ((jaxloss.softmax_cross_entropy_with_integer_labels, y), (jaxloss.softmax_cross_entropy, x)):
        lowered = jax.jit(jax.value_and_grad(loss)).trace(x, target).lower(lowering_platforms=(platform,))
        text = lowered.as_text()
        variadic = any(line.count("init:") > 1 for line in text.splitlines())
        assert variadic == (platform != "cpu")
        assert ("gather" in text) == (platform == "cpu" and target is y)

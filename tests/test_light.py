"""Law 18: a training step is traced quickly, counted in equations; the seconds are in `benchmarks/start.md`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES

import jaxloss

CASE = {case.name: case for case in reversed(CASES)}
EQUATIONS = {
    "squared_error": 30,
    "huber": 50,
    "sigmoid_binary_cross_entropy": 90,
    "softmax_cross_entropy_with_integer_labels": 130,
    "softmax_cross_entropy": 110,
    "softmax_focal": 190,
    "poly_cross_entropy": 180,
    "kl_divergence": 75,
    "kl_divergence_with_logits": 442,
    "jensen_shannon_divergence_with_logits": 594,
    "bi_tempered_cross_entropy": 400,
}
"""Of value and gradient, for what is traced for every platform together; a mask adds at most 25."""


def equations(jaxpr) -> int:
    """All of a program, those of the programs inside it too."""
    total = 0
    for equation in jaxpr.eqns:
        total += 1
        for value in equation.params.values():
            for part in value if isinstance(value, tuple | list) else (value,):
                part = getattr(part, "jaxpr", part)
                total += equations(part) if hasattr(part, "eqns") else 0
    return total


@pytest.mark.parametrize("name", EQUATIONS)
def test_equations(name):
    case, loss = CASE[name], jaxloss.catalogue[name]
    arrays = [np.float32(x) if x.dtype.kind == "f" else x for x in case.draw(np.random.default_rng(0), 8)]
    cost = functools.partial(loss, **case.options[0])
    plain = equations(jax.make_jaxpr(jax.value_and_grad(cost))(*arrays).jaxpr)
    masked = functools.partial(cost, where=jnp.arange(8) < 5)
    assert plain <= EQUATIONS[name]
    assert equations(jax.make_jaxpr(jax.value_and_grad(masked))(*arrays).jaxpr) <= plain + 25


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int16, jnp.uint32])
def test_labels_of_few_bits_are_read_in_many_classes(dtype):
    loss = jaxloss.softmax_cross_entropy_with_integer_labels
    logits = jax.random.normal(jax.random.key(0), (3, 1000))
    wide, narrow = jnp.array([0, 5, 100]), jnp.array([0, 5, 100], dtype)
    expected, actual = (jax.value_and_grad(loss)(logits, labels) for labels in (wide, narrow))
    assert all(jnp.array_equal(a, b) for a, b in zip(actual, expected, strict=True))


@pytest.mark.parametrize(
    ("keywords", "most"),
    [((), 10), (("where",), 26), (("weights",), 64), (("where", "weights"), 67)],
    ids=lambda x: "-".join(x) if isinstance(x, tuple) else "",
)
def test_a_reduction_is_few_equations(keywords, most):
    loss = jaxloss.custom_loss(lambda prediction, target: (prediction - target) ** 2, stand_in=0.5)
    given = {name: {"where": jnp.arange(8) > 3, "weights": jnp.arange(8.0)}[name] for name in keywords}
    traced = jax.make_jaxpr(jax.value_and_grad(lambda *arrays: loss(*arrays, **given)))(jnp.ones(8), jnp.ones(8))
    assert equations(traced.jaxpr) <= most


def test_no_pass_over_the_data_for_what_stands_in():
    def reductions(loss):
        traced = str(
            jax.make_jaxpr(lambda p, t, where: loss(p, t, where=where))(jnp.ones(8), jnp.ones(8), jnp.ones(8) > 0)
        )
        return traced.count("reduce_"), traced.count("iota")

    square = lambda prediction, target: (prediction - target) ** 2  # noqa: E731
    assert reductions(jaxloss.custom_loss(square, stand_in=0.5)) == (2, 0)  # the values, and how many count
    assert reductions(jaxloss.custom_loss(square)) > (2, 0)

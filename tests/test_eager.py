"""An eager call is one compiled program, kept for the next of the same loss and shapes, and nothing else changes."""

import functools
import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from jaxloss.core import eager, evaluation
from jaxloss.core.weighting import MEAN_OF_ALL

X, Y = jnp.array([3.0, 0.0, 1.0]), jnp.zeros(3)


@pytest.fixture(autouse=True)
def _forget():
    eager._program.cache_clear()


def counting(function):
    """The loss of a function, and how often it was traced."""
    traces = []

    @functools.wraps(function)
    def term(prediction, target, **options):
        traces.append(None)
        return function(prediction, target, **options)

    return traces, term


def traced_term(traces):
    def term(prediction, target, *, power=1, scale=1.0):
        traces.append(None)
        return scale * jnp.abs(prediction - target) ** power if power != 1 else scale * jnp.abs(prediction - target)

    return term


def test_one_program_for_a_loss_and_its_shapes():
    traces = []
    loss = jaxloss.custom_loss(traced_term(traces))
    for value in (1.0, 2.0):
        assert loss(value * X, Y) == value * 4 / 3
        assert jaxloss.reduce(loss, "sum")(value * X, Y) == value * 4
        assert loss.tally(value * X, Y).denominator == 3
    assert len(traces) == 3  # the mean, the sum, the tally
    loss(X[:2], Y[:2])
    assert len(traces) == 4


def test_options_of_a_users_term_are_static():
    traces = []
    loss = jaxloss.custom_loss(traced_term(traces))
    for power, expected in ((1, 4), (2, 10), (1, 4), (3, 28), (2.0, 10), (True, 4)):
        assert loss(X, Y, power=power) == pytest.approx(expected / 3)
    assert len(traces) == 5  # 1, 2, 3, 2.0 and True
    bound = jaxloss.reduce(functools.partial(loss, power=2))
    assert bound(X, Y) == pytest.approx(10 / 3)
    assert len(traces) == 5


def test_numbers_of_the_library_are_traced():
    for delta in (0.5, 1.5, np.float32(2.0), jnp.float32(3.0), np.array([1.0, 2.0, 3.0])):
        got = jaxloss.huber(X, Y, delta=delta)
        np.testing.assert_allclose(got, jax.jit(lambda d=delta: jaxloss.huber(X, Y, delta=d))(), rtol=1e-6)
    assert eager._program.cache_info().currsize == 1
    jaxloss.huber(X, Y, delta=1.0)  # the default may be a simpler program
    assert eager._program.cache_info().currsize == 2
    with pytest.raises(ValueError, match="delta must be > 0"):
        jaxloss.huber(X, Y, delta=-1.0)


def test_every_number_of_the_library_can_be_traced():
    for loss in jaxloss.catalogue.values():
        numbers = {name for name, marks in loss._term.ranges.items() if marks}
        assert numbers - loss._term.traced <= {"memory", "power"}, loss


def test_a_number_that_a_users_term_annotates_so_is_traced():
    from jaxloss.types import Positive

    traces = []

    @jaxloss.custom_loss
    def scaled(prediction, target, *, scale: Positive = 1.0):
        traces.append(None)
        return scale * (prediction - target)

    assert [float(scaled(X, Y, scale=s)) for s in (3.0, 6.0)] == [4, 8]
    assert len(traces) == 1


def test_what_a_term_reads_beside_its_arguments():
    scale = 1.0
    offset = jnp.zeros(3)

    def term(prediction, target):
        return scale * (prediction - target) + offset + GLOBAL

    loss = jaxloss.custom_loss(term)
    assert loss(X, Y) == pytest.approx(4 / 3)
    scale = 3.0
    assert loss(X, Y) == pytest.approx(4)
    offset = jnp.ones(3)
    assert loss(X, Y) == pytest.approx(5)
    globals()["GLOBAL"] = 2.0
    try:
        assert loss(X, Y) == pytest.approx(7)
    finally:
        globals()["GLOBAL"] = 0.0
    table = np.zeros(3, np.float32)
    looked_up = jaxloss.custom_loss(lambda prediction, target: prediction - target + table)
    assert looked_up(X, Y) == pytest.approx(4 / 3)
    table[:] = 1
    assert looked_up(X, Y) == pytest.approx(7 / 3)


GLOBAL = 0.0


def test_a_term_that_closes_over_a_tracer():
    def cost(scale):
        return jaxloss.custom_loss(lambda p, t: scale * (p - t))(X, Y)

    with jax.checking_leaks():
        for transformed in (jax.grad(cost), jax.jit(jax.grad(cost)), jax.jacfwd(cost)):
            assert transformed(2.0) == pytest.approx(4 / 3)
        np.testing.assert_allclose(jax.vmap(cost)(jnp.array([3.0, 6.0])), [4, 8], rtol=1e-6)
    assert eager._program.cache_info().currsize == 0


def test_a_method_and_a_partial_as_terms():
    class Scaled:
        scale = 1.0

        def term(self, prediction, target):
            return self.scale * (prediction - target)

    scaled = Scaled()
    loss = jaxloss.custom_loss(scaled.term)
    assert loss(X, Y) == pytest.approx(4 / 3)
    scaled.scale = 3.0
    assert loss(X, Y) == pytest.approx(4)


def test_calls_with_tracers_are_not_kept():
    jax.jit(jaxloss.huber)(X, Y)
    jax.grad(jaxloss.huber)(X, Y)
    jax.vmap(jaxloss.huber)(X, Y)
    assert eager._program.cache_info().currsize == 0
    inside = jax.jit(lambda x: x + jaxloss.huber(X, Y))  # arrays that are known, inside a program
    assert inside(1.0) == pytest.approx(1 + (2.5 + 0.5) / 3)


def test_a_term_that_looks_at_values():
    @jaxloss.custom_loss
    def checked(prediction, target):
        if jnp.any(prediction < 0):
            raise ValueError("a negative prediction")
        return np.asarray(prediction) - target

    assert checked(X, Y) == pytest.approx(4 / 3)
    with pytest.raises(ValueError, match="a negative prediction"):
        checked(-X, Y)
    with pytest.raises(jax.errors.TracerBoolConversionError):
        jax.jit(checked)(X, Y)


def test_errors_come_unchanged():
    class Odd(Exception):
        pass

    def term(prediction, target):
        raise Odd(prediction.shape, target.shape)

    for _ in range(2):
        with pytest.raises(Odd) as caught:
            jaxloss.custom_loss(term)(X, Y)
        assert caught.value.args == ((3,), (3,))


def test_options_that_cannot_be_compared():
    @jaxloss.custom_loss
    def listed(prediction, target, *, sizes=(1, 2)):
        return sizes[0] * (prediction - target)

    assert listed(X, Y, sizes=[3, 4]) == listed(X, Y, sizes=(3, 4)) == 4
    assert listed(X, Y, sizes=np.array([3])) == listed(X, Y, sizes=jnp.array([3])) == 4


def test_under_disable_jit_and_debug_nans():
    cost = functools.partial(jaxloss.huber, X, Y)
    with jax.disable_jit():
        assert cost() == 1
    with jax.debug_nans(True):
        assert cost() == 1
        with pytest.raises(FloatingPointError):
            jaxloss.custom_loss(lambda p, t: jnp.log(p - t))(-X, Y)
        with jax.disable_jit():
            assert cost() == 1


@pytest.mark.parametrize("x64", [False, True])
def test_dtypes_and_weak_types(x64):
    with jax.enable_x64(x64):
        for arrays in ((1.5, 0), (1.5, jnp.float32(0)), (np.array([1.5, 2.5]), 0.5), ([1.5, 2.5], 0), (3, 1)):
            value, traced = jaxloss.absolute_error(*arrays), jax.jit(jaxloss.absolute_error)(*map(jnp.asarray, arrays))
            assert (value.dtype, value.weak_type) == (traced.dtype, traced.weak_type)
            assert jaxloss.absolute_error(*arrays, where=True).dtype == value.dtype
            assert jaxloss.absolute_error(*arrays, weights=2).dtype == value.dtype


def test_the_programs_kept_are_bounded_and_let_go():
    held = []
    for _ in range(eager._KEPT + 3):
        traces = []
        term = jaxloss.custom_loss(traced_term(traces))._term
        held.append(weakref.ref(term))
        eager._program(evaluation.cost, MEAN_OF_ALL, term, (), eager._Reads([]))
    info = eager._program.cache_info()
    assert (info.currsize, info.maxsize) == (eager._KEPT, eager._KEPT)
    del term
    gc.collect()
    assert sum(ref() is None for ref in held) == 3

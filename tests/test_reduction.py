"""What `reduce` promises, on numbers worked by hand or in NumPy float64: steps, masks, weights and the last step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from jaxloss.numerics import safe_sqrt

NAN = np.nan
error = jaxloss.absolute_error
squared = jaxloss.squared_error
sparse = jaxloss.softmax_cross_entropy_with_integer_labels


def f32(values):
    return np.asarray(values, np.float32)


def root_mean(tally):
    return safe_sqrt(tally.mean)


VALUES = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]  # [batch, time]
COUNTS = [[True, True, False], [True, False, False], [False, False, False]]
MASKED = np.where(COUNTS, VALUES, NAN)
ROWS = [1.0, 3.0, 100.0]  # a weight for each sequence
TOKENS = [[1.0, 2.0, NAN], [3.0, NAN, NAN], [NAN, NAN, NAN]]  # a weight for each token

mean = functools.partial(jaxloss.reduce, how="mean")
total = functools.partial(jaxloss.reduce, how="sum")
none = functools.partial(jaxloss.reduce, how="none")


def chain(*steps):
    loss = error
    for how, axis in steps:
        loss = jaxloss.reduce(loss, how, axis=axis)
    return loss


mean_of_rows = chain(("mean", -1))
sum_of_rows = chain(("sum", -1))


@pytest.mark.parametrize(
    ("loss", "weights", "expected"),
    [
        pytest.param(error, None, 7 / 3, id="mean"),
        pytest.param(total(error), None, 7, id="sum"),
        pytest.param(none(error), None, [[1, 2, 0], [4, 0, 0], [0, 0, 0]], id="none"),
        pytest.param(mean_of_rows, None, (1.5 + 4) / 2, id="mean-of-means"),
        pytest.param(sum_of_rows, None, (3 + 4) / 2, id="mean-of-sums"),
        pytest.param(total(mean_of_rows), None, 1.5 + 4, id="sum-of-means"),
        pytest.param(total(sum_of_rows), None, 7, id="sum-of-sums"),
        pytest.param(none(mean_of_rows), None, [1.5, 4, 0], id="means"),
        pytest.param(none(sum_of_rows), None, [3, 4, 0], id="sums"),
        # (1 + 4) / 2 at the first time, 2 at the second, and nothing at the third, which does not count.
        pytest.param(chain(("mean", 0)), None, (2.5 + 2) / 2, id="mean-over-batch-first"),
        pytest.param(none(chain(("sum", 0))), None, [5, 2, 0], id="sums-over-batch"),
        pytest.param(chain(("mean", (0, 1))), None, 7 / 3, id="one-group"),
        pytest.param(chain(("sum", (-1, -2))), None, 7, id="one-group-summed"),
        pytest.param(chain(("mean", -1), ("mean", -1)), None, 2.75, id="two-steps"),
        pytest.param(chain(("mean", -1), ("sum", 0)), None, 5.5, id="two-steps-summed"),
        # A weight of the sequences: used by the first step that reduces the batch axis.
        pytest.param(error, ROWS, (1 * 3 + 3 * 4) / (1 + 1 + 3), id="mean-row-weights"),
        pytest.param(total(error), ROWS, 15, id="sum-row-weights"),
        pytest.param(none(error), ROWS, [[1, 2, 0], [12, 0, 0], [0, 0, 0]], id="none-row-weights"),
        pytest.param(mean_of_rows, ROWS, (1 * 1.5 + 3 * 4) / 4, id="mean-of-means-row-weights"),
        pytest.param(sum_of_rows, ROWS, (1 * 3 + 3 * 4) / 4, id="mean-of-sums-row-weights"),
        pytest.param(none(mean_of_rows), ROWS, [1.5, 12, 0], id="means-row-weights"),
        pytest.param(none(sum_of_rows), ROWS, [3, 12, 0], id="sums-row-weights"),
        pytest.param(chain(("mean", 0)), ROWS, ((1 * 1 + 3 * 4) / 4 + 2) / 2, id="mean-over-batch-first-row-weights"),
        pytest.param(none(chain(("sum", 0))), ROWS, [13, 2, 0], id="sums-over-batch-row-weights"),
        # A weight of the tokens: used within each sequence, and each sequence then counts once.
        pytest.param(error, TOKENS, (1 * 1 + 2 * 2 + 3 * 4) / 6, id="mean-token-weights"),
        pytest.param(mean_of_rows, TOKENS, (5 / 3 + 4) / 2, id="mean-of-means-token-weights"),
        pytest.param(sum_of_rows, TOKENS, (5 + 12) / 2, id="mean-of-sums-token-weights"),
        pytest.param(none(mean_of_rows), TOKENS, [5 / 3, 4, 0], id="means-token-weights"),
        pytest.param(none(sum_of_rows), TOKENS, [5, 12, 0], id="sums-token-weights"),
        pytest.param(
            chain(("mean", 0)), TOKENS, ((1 * 1 + 3 * 4) / 4 + 2) / 2, id="mean-over-batch-first-token-weights"
        ),
        # A scalar belongs to no axis: only a sum at the end sees it.
        pytest.param(error, 2.0, 7 / 3, id="mean-scalar-weight"),
        pytest.param(total(error), 2.0, 14, id="sum-scalar-weight"),
        pytest.param(total(mean_of_rows), 2.0, 11, id="sum-of-means-scalar-weight"),
        pytest.param(none(sum_of_rows), np.float64(2), [6, 8, 0], id="sums-scalar-weight"),
        pytest.param(total(error), 0, 0, id="sum-weight-0"),
        pytest.param(mean_of_rows, 0, 0, id="mean-of-means-weight-0"),
    ],
)
def test_reduced_by_hand(loss, weights, expected):
    weights = f32(weights) if isinstance(weights, list) else weights
    value = jax.jit(lambda p, mask: loss(p, jnp.zeros_like(p), where=mask, weights=weights))(
        f32(MASKED), np.array(COUNTS)
    )
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def by_hand(values, steps, last, where, weights):
    """One step after the other on the values themselves, in float64."""

    def expand(array):
        return np.reshape(array, np.shape(array) + (1,) * (values.ndim - np.ndim(array)))

    axes_of_weights = np.ndim(weights)
    names = list(range(values.ndim))
    counted = np.broadcast_to(True if where is None else expand(where), values.shape)
    weights = np.broadcast_to(1.0 if weights is None else expand(weights), values.shape)
    counted = counted & (weights != 0)
    pending = True
    for how, axes in steps:
        axes = tuple(axis % values.ndim for axis in ((axes,) if isinstance(axes, int) else axes))
        uses = pending and any(names[axis] < axes_of_weights for axis in axes)
        w = np.where(counted, weights if uses else 1.0, 0)
        numerator, denominator = np.sum(w * values, axis=axes), np.sum(w, axis=axes)
        values = numerator / np.where(denominator == 0, 1, denominator) if how == "mean" else numerator
        counted = np.any(counted, axis=axes)
        pending = pending and not uses
        # A pending weight does not vary along the axes that go; used up, it is 1.
        weights = np.max(weights, axis=axes) if pending else np.ones_like(values)
        names = [name for axis, name in enumerate(names) if axis not in axes]
    w = np.where(counted, weights, 0)
    if last == "none":
        return w * values
    return np.sum(w * values) / (np.sum(w) if last == "mean" else 1)


SHAPE = (3, 4, 2)
STACKS = [
    (),
    (("mean", -1),),
    (("sum", 1),),
    (("mean", 0),),
    (("mean", -1), ("mean", -1)),
    (("mean", -1), ("sum", -1)),
    (("sum", -1), ("mean", -1)),
    (("mean", 1), ("mean", -1)),
    (("sum", 0), ("mean", 0)),
    (("mean", (0, 2)),),
    (("mean", (1, 2)), ("sum", 0)),
    (("mean", -1), ("mean", -1), ("mean", -1)),
    (("sum", -1), ("mean", 0), ("mean", 0)),
]


@pytest.fixture(scope="module")
def stacked():
    rng = np.random.default_rng(3)
    values = rng.uniform(0.5, 2, SHAPE)
    masks = [None, np.array([True, False, True]), rng.random(SHAPE[:2]) < 0.6, rng.random(SHAPE) < 0.5]
    masks[3][0], masks[3][1, 2] = False, False
    weights = [None, *(rng.uniform(0.5, 2, SHAPE[:axes]) for axes in range(4))]
    weights[4][2, 1] = 0
    return values, masks, weights


@pytest.mark.parametrize("steps", STACKS, ids=lambda steps: ",".join(f"{how}{axis}" for how, axis in steps) or "none")
def test_three_stacked_axes(steps, stacked):
    values, masks, weights = stacked
    inner = chain(*steps)
    losses = {"mean": mean(inner), "sum": total(inner), "none": none(inner)}
    pairs = [
        *((where, weight) for where in (None, masks[3]) for weight in weights),
        *zip(masks, weights[1:], strict=True),
    ]

    @jax.jit
    def found(values):
        def call(loss, where, weight):
            return loss(values, jnp.zeros_like(values), where=where, weights=None if weight is None else f32(weight))

        return {last: [call(loss, *pair) for pair in pairs] for last, loss in losses.items()}

    for last, costs in found(f32(values)).items():
        for number, (cost, pair) in enumerate(zip(costs, pairs, strict=True)):
            expected = by_hand(values, steps, last, *pair)
            np.testing.assert_allclose(cost, expected, rtol=3e-6, err_msg=f"{last}, where and weights {number}")


def test_a_weight_of_k_is_k_copies():
    copies = np.repeat(f32([2, 5]), [3, 1])
    assert (
        jax.jit(error)(copies, 0.0) == jax.jit(lambda p: error(p, 0.0, weights=np.array([3, 1])))(f32([2, 5])) == 11 / 4
    )


def test_weights_by_label():
    logits, labels = np.array([[1.0, 2.0], [0.0, 3.0], [2.0, 2.0]]), np.array([0, 1, 1])
    class_weights = f32([3, 0.5])
    surprisal = np.log(np.sum(np.exp(logits), 1)) - logits[[0, 1, 2], labels]
    value, gradient = jax.jit(jax.value_and_grad(lambda w: sparse(f32(logits), labels, weights=w[labels])))(
        class_weights
    )
    expected = (3 * surprisal[0] + 0.5 * (surprisal[1] + surprisal[2])) / 4
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    # Of class 0 one item, of class 1 two: sum of (value - mean) / (sum of weights).
    np.testing.assert_allclose(
        gradient, [(surprisal[0] - expected) / 4, (surprisal[1] + surprisal[2] - 2 * expected) / 4], rtol=1e-5
    )


def test_gradient_in_the_weights():
    p, mask = f32(VALUES), np.array(COUNTS)

    def gradient(loss, weights):
        return jax.jit(jax.grad(lambda w: loss(p, 0.0, where=mask, weights=w)))(f32(weights))

    # Through the denominator: (v - mean) / (sum of weights), where a row brings its weight once for each token.
    average = 15 / 5
    np.testing.assert_allclose(gradient(error, ROWS), [(3 - 2 * average) / 5, (4 - average) / 5, 0], rtol=1e-5)
    np.testing.assert_allclose(gradient(total(error), ROWS), [3, 4, 0], rtol=1e-6)
    row_mean = 13.5 / 4
    np.testing.assert_allclose(gradient(mean_of_rows, ROWS), [(1.5 - row_mean) / 4, (4 - row_mean) / 4, 0], rtol=1e-5)
    # Two rows count once each; within the first, mean 5/3 and weight 3; the second has one token, so no say.
    np.testing.assert_allclose(
        gradient(mean_of_rows, TOKENS),
        [[(1 - 5 / 3) / 6, (2 - 5 / 3) / 6, 0], [0, 0, 0], [0, 0, 0]],
        rtol=1e-5,
        atol=1e-7,
    )
    np.testing.assert_allclose(gradient(error, [[1, 0, 5], [3, 0, 0], [0, 0, 0]])[0, 1:], [0, 0])


@pytest.mark.parametrize("derivative", [jax.grad, jax.jacfwd], ids=["reverse", "forward"])
def test_an_infinite_value_has_a_gradient_that_is_not_nan(derivative):
    def cost(p, weights):
        return jaxloss.binary_cross_entropy(p, jnp.ones(3), weights=weights)

    arguments = f32([0, 0.5, 0.25]), f32([1, 2, 1])
    assert jax.jit(cost)(*arguments) == np.inf
    to_p, to_weights = jax.jit(derivative(cost, (0, 1)))(*arguments)
    np.testing.assert_allclose(to_p, [-np.finfo(np.float32).max / 4, -1, -1], rtol=1e-6)  # -w / (p sum of w)
    assert not np.any(np.isnan(to_weights)), to_weights


def test_no_items_at_all():
    empty = np.zeros((0, 3), np.float32)
    losses = (error, total(error), mean_of_rows, chain(("mean", 0)), jaxloss.reduce(squared, root_mean))
    found = jax.jit(lambda p: [jax.value_and_grad(loss)(p, p + 1) for loss in losses])(empty)
    assert [float(value) for value, _ in found] == [0] * 5
    assert [gradient.shape for _, gradient in found] == [(0, 3)] * 5
    assert sparse(empty, np.zeros(0, int)) == 0


def test_groups_without_values_do_not_count():
    tally = mean_of_rows.tally(np.zeros((3, 0), np.float32), np.zeros((3, 0), np.float32))
    full = mean_of_rows.tally(f32([[2, 4]]), f32([[0, 0]]))
    assert mean_of_rows.finish(tally + full) == 3


# --------------------------------------------------------------------------------------------- a last step of one's own


def test_root_mean_squared_error():
    rmse = jaxloss.reduce(squared, root_mean)
    p, mask = f32([3, 4, NAN]), np.array([True, True, False])
    value, gradient = jax.jit(jax.value_and_grad(lambda p: rmse(p, jnp.zeros(3), where=mask)))(p)
    np.testing.assert_allclose(value, np.sqrt(12.5), rtol=1e-6)
    np.testing.assert_allclose(gradient, [1.5 / np.sqrt(12.5), 2 / np.sqrt(12.5), 0], rtol=1e-6)  # e / (n rmse)
    np.testing.assert_allclose(rmse(f32([3, 4]), 0.0, weights=f32([1, 3])), np.sqrt((9 + 48) / 4), rtol=1e-6)
    norms = jaxloss.reduce(jaxloss.reduce(squared, "sum", axis=-1), root_mean)
    np.testing.assert_allclose(norms(f32([[3, 4], [0, 5]]), f32([[0, 0], [0, 0]])), 5, rtol=1e-6)


def test_a_callable_sees_the_tally():
    # (1 + 2 + 4) and 3, so 7 - 10 * 3
    loss = jaxloss.reduce(error, lambda tally: tally.numerator - 10 * tally.denominator)
    assert jax.jit(lambda p: loss(p, 0.0, where=np.array(COUNTS)))(f32(MASKED)) == -23
    assert loss.finish(jaxloss.Tally(5.0, 1.0)) == -5


@pytest.mark.parametrize(
    ("how", "nothing"),
    [
        (root_mean, 0),
        (lambda tally: jnp.sqrt(tally.mean), 0),
        (lambda tally: jnp.exp(tally.mean), 1),
        (lambda tally: jnp.log(tally.mean), -np.inf),
        (lambda tally: tally.numerator / tally.denominator, NAN),
        (lambda tally: 3.0, 3),  # noqa: ARG005
    ],
    ids=["root-mean", "sqrt", "exp", "log", "quotient", "constant"],
)
def test_a_callable_of_nothing_has_its_own_value_and_no_gradient(how, nothing):
    loss = jaxloss.reduce(squared, how)

    def cost(p, target, weights):
        return loss(p, target, where=np.zeros(2, bool), weights=weights)

    arrays = f32([NAN, 1]), f32(2), f32([1, NAN])
    value, gradients = jax.jit(jax.value_and_grad(cost, (0, 1, 2)))(*arrays)
    np.testing.assert_array_equal(value, nothing)
    np.testing.assert_array_equal(gradients[0], [0, 0])
    np.testing.assert_array_equal(gradients[1], 0)
    np.testing.assert_array_equal(gradients[2], [0, 0])
    np.testing.assert_array_equal(jax.jit(jax.jacfwd(cost))(*arrays), [0, 0])

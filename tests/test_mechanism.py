"""What `custom_loss` and `reduce` promise, on numbers worked by hand or in NumPy float64."""

import copy
import functools
import pickle

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

both_x64 = pytest.mark.parametrize("x64", [False, True], ids=["x64-off", "x64-on"])


def f32(values):
    return np.asarray(values, np.float32)


def root_mean(tally):
    return safe_sqrt(tally.mean)


def _log_error(prediction, target, *, shift=1.0, scale=1.0):
    """Defined for predictions above the shift only."""
    return jnp.square(scale * jnp.log(prediction - shift) - target)


log_error = jaxloss.custom_loss(_log_error)


@jaxloss.custom_loss(signature="(d),(),(d,v)->()")
def head(hidden, labels, kernel, *, temperature=1.0):
    scores = hidden @ kernel / temperature
    return jax.nn.logsumexp(scores) - scores[labels]


# ---------------------------------------------------------------------------------------- steps, masks and weights

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


# -------------------------------------------------------------------------------------------------- arrays and options


def test_arrays_by_name():
    assert jaxloss.huber(target=f32([0, 0]), prediction=f32([3, 0])) == 1.25  # (3 - 0.5) / 2


def test_scalars_in_elementwise_losses():
    p = f32([1, 2, 6])
    assert jax.jit(error)(p, 3.0) == jax.jit(error)(p, f32(3)) == error(3, p) == error(3, [1.0, 2.0, 6.0]) == 2
    assert error(6.5, 3) == 3.5
    # The scalar is shared: its gradient adds up, and a masked NaN beside it does no harm.
    gradient = jax.jit(jax.grad(lambda t: error(f32([1, 2, NAN]), t, where=np.array([True, True, False]))))(3.0)
    assert gradient == 1


def test_optional_arrays_are_left_out():
    @jaxloss.custom_loss
    def weighed(prediction, target, offset=None, factor=None):
        e = prediction - target
        e = e if offset is None else e + offset
        return e if factor is None else e * factor

    p = f32([1, 2])
    assert weighed(p, 0.0) == weighed(p, 0.0, None) == weighed(p, 0.0, offset=None, factor=None) == 1.5
    assert weighed(p, 0.0, f32([10, 20])) == 16.5
    assert weighed(p, 0.0, factor=f32([2, 3])) == weighed(p, 0.0, None, f32([2, 3])) == 4
    assert weighed(p, 0.0, f32([10, NAN]), where=np.array([True, False])) == 11


def test_an_optional_array_in_a_signature():
    @jaxloss.custom_loss(signature="(d),(d,v),(v)->()")
    def largest(hidden, kernel, bias=None):
        scores = hidden @ kernel
        return jnp.max(scores if bias is None else scores + bias)

    hidden, kernel = f32([[1, 2], [3, 4]]), f32([[1, 0, 1], [0, 1, 1]])
    assert jax.jit(largest)(hidden, kernel) == 5  # (3 + 7) / 2
    assert jax.jit(largest)(hidden, kernel, f32([10, 0, 0])) == 12  # (11 + 13) / 2
    assert jax.jit(largest)(hidden, kernel, bias=f32([[10, 0, 0], [0, 0, 0]])) == 9  # one for each: (11 + 7) / 2


def test_a_shared_kernel():
    rng = np.random.default_rng(1)
    hidden, kernel = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 5))
    labels, mask = rng.integers(0, 5, (2, 3)), np.array([[True, False, True], [False, True, True]])
    poisoned = np.where(mask[..., None], hidden, NAN)
    wrong = np.where(mask, labels, 99)

    rows, chosen, temperature = hidden[mask], labels[mask], 2.0
    scores = rows @ kernel / temperature
    p = np.exp(scores) / np.sum(np.exp(scores), axis=1, keepdims=True)
    slope = (p - np.eye(5)[chosen]) / len(rows)

    def cost(hidden, kernel, temperature):
        return head(hidden, wrong, kernel, temperature=temperature, where=mask)

    arrays = f32(poisoned), f32(kernel), f32(temperature)
    value, (to_hidden, to_kernel, to_temperature) = jax.jit(jax.value_and_grad(cost, (0, 1, 2)))(*arrays)
    np.testing.assert_allclose(value, np.mean(-np.log(p[range(4), chosen])), rtol=1e-5)
    np.testing.assert_allclose(to_hidden[mask], slope @ kernel.T / temperature, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(to_hidden[~mask], np.zeros((2, 4)))
    np.testing.assert_allclose(to_kernel, rows.T @ slope / temperature, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(to_temperature, -np.sum(slope * scores) / temperature, rtol=1e-4, atol=1e-6)
    forward = jax.jit(jax.jacfwd(cost, (1, 2)))(*arrays)
    np.testing.assert_allclose(forward[0], to_kernel, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(forward[1], to_temperature, rtol=1e-4, atol=1e-6)


def softplus(x):
    return np.log1p(np.exp(x))


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1), (2, 3), (1, 1, 1)], ids=str)
def test_an_array_option_aligns_with_the_trailing_axes(shape):
    rng = np.random.default_rng(2)
    logits, targets = rng.normal(size=(4, 2, 3)), rng.integers(0, 2, (4, 2, 3))
    weight = rng.uniform(0.5, 2, shape)

    def cost(weight):
        return jaxloss.sigmoid_binary_cross_entropy(f32(logits), targets, positive_weight=weight)

    value, gradient = jax.jit(jax.value_and_grad(cost))(f32(weight))
    positive = targets * softplus(-logits)
    np.testing.assert_allclose(value, np.mean(weight * positive + (1 - targets) * softplus(logits)), rtol=1e-6)
    aligned = (1,) * (3 - len(shape)) + shape
    spread = tuple(axis for axis in range(3) if aligned[axis] == 1)
    expected = np.sum(positive, axis=spread, keepdims=True).reshape(shape) / 24
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


def test_a_boolean_array_option_aligns_too():
    @jaxloss.custom_loss
    def signed(prediction, target, *, flipped=False):
        return jnp.where(flipped, target - prediction, prediction - target)

    assert jax.jit(lambda p: signed(p, 0.0, flipped=np.array([True, False])))(f32([[1, 10], [2, 20]])) == 27 / 4


def test_an_option_of_a_loss_with_a_signature_is_passed_as_it_is():
    @jaxloss.custom_loss(signature="(d),(d)->()")
    def scaled(u, v, *, scale, name="l1"):
        assert name == "l1"
        return jnp.sum(scale * (u - v))

    assert jax.jit(scaled)(f32([[1, 2], [3, 4]]), f32([[0, 0], [0, 0]]), scale=np.array([10.0, 1.0])) == 23


def test_an_output_with_a_core_axis():
    @jaxloss.custom_loss(signature="(n,d),(n)->(n)")
    def centred(points, target):
        return jnp.sum((points - jnp.mean(points, axis=0, keepdims=True)) ** 2, axis=-1) - target

    points = np.array([[[0.0, 0.0], [2.0, 0.0], [4.0, 6.0]], [[1.0, 1.0], [1.0, 1.0], [1.0, 7.0]]])
    values = np.array([[8.0, 4, 20], [4, 4, 16]])  # around [2, 2] and [1, 3]
    arrays = f32(points), np.zeros((2, 3), np.float32)
    np.testing.assert_allclose(none(centred)(*arrays), values)
    # Where no output of an item counts, the item may hold anything; where one does, all its points have a say.
    first_only = np.array([[True, False, True], [False, False, False]])
    poisoned = f32(np.stack([points[0], np.full((3, 2), NAN)]))
    np.testing.assert_allclose(centred(poisoned, arrays[1], where=first_only), 14)
    np.testing.assert_allclose(centred(poisoned, arrays[1], where=np.array([True, False])), 32 / 3, rtol=1e-6)
    np.testing.assert_allclose(none(mean(centred, axis=-1))(*arrays), np.mean(values, axis=1), rtol=1e-6)
    np.testing.assert_allclose(mean(centred, axis=-1).tally(*arrays).numerator, 56 / 3, rtol=1e-6)
    np.testing.assert_allclose(centred(*arrays, weights=f32([[1, 0, 3], [0, 0, 0]])), (8 + 60) / 4, rtol=1e-6)


def test_an_inner_step_over_a_core_axis_crosses_no_split():
    loss = mean(jaxloss.custom_loss(lambda u: u, signature="(n)->(n)"), axis=-1)
    one = loss.tally(f32([1, 2, 6]))  # a single item, without an axis of items
    assert (float(one.numerator), float(one.denominator)) == (3, 1)
    np.testing.assert_allclose(loss.finish(one + loss.tally(f32([[1, 2, 3], [4, 4, 4]]))), 3, rtol=1e-6)


def test_a_size_in_the_signature():
    @jaxloss.custom_loss(signature="(2),(2)->()")
    def area(lower, upper):
        return jnp.prod(upper - lower)

    assert area(f32([[0, 0], [1, 1]]), f32([[2, 3], [2, 2]])) == 3.5
    with pytest.raises(ValueError, match=r"^area: lower has 3 along its axis '2' \(shape \(3,\)\)"):
        area(f32([0, 0, 0]), f32([1, 1, 1]))


# ------------------------------------------------------------------------------------------------- masked is deleted

PREDICTION, TARGET = np.array([1.5, 3.0, 2.2, 4.0]), np.array([0.3, -1.0, 0.5, 2.0])
KEPT = np.array([False, True, False, True])
SHIFT, SCALE = 1.25, 0.75
POISONS = {
    "nan": (NAN, NAN),
    "inf": (np.inf, -np.inf),
    "on-the-edge": (SHIFT, 0.0),
    "outside": (-5.0, 0.0),
    "huge": (3e38, -3e38),
}


def log_error_by_hand():
    """Value, and gradients in prediction, target, shift and scale, of the two items that count."""
    x, y = PREDICTION[KEPT] - SHIFT, TARGET[KEPT]
    e = SCALE * np.log(x) - y
    gradient = np.zeros((2, 4))
    gradient[:, KEPT] = [e * SCALE / x, -e]
    return np.mean(e**2), *gradient, np.mean(-2 * e * SCALE / x), np.mean(2 * e * np.log(x))


DECLARED = {
    "nothing": None,  # an item that counts is looked for
    "a number": 20.0,
    "a mapping": {"prediction": 20.0, "target": 0},
    "a part of them": {"prediction": 20.0},
}
both_modes = pytest.mark.parametrize("derivative", [jax.grad, jax.jacfwd], ids=["reverse", "forward"])


@both_modes
@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("declared", DECLARED)
def test_poison_behind_the_mask_of_a_loss_with_a_domain(declared, poison, derivative):
    loss = jaxloss.custom_loss(_log_error, stand_in=DECLARED[declared])
    arrays = [f32(np.where(KEPT, a, b)) for a, b in zip((PREDICTION, TARGET), POISONS[poison], strict=True)]

    def cost(prediction, target, shift, scale):
        return loss(prediction, target, shift=shift, scale=scale, where=KEPT)

    value, *expected = log_error_by_hand()
    arguments = *arrays, f32(SHIFT), f32(SCALE)
    np.testing.assert_allclose(cost(*arguments), value, rtol=1e-5)
    for gradient, by_hand in zip(jax.jit(derivative(cost, (0, 1, 2, 3)))(*arguments), expected, strict=True):
        np.testing.assert_allclose(gradient, by_hand, rtol=1e-5)


@both_modes
@pytest.mark.parametrize("declared", DECLARED)
def test_nothing_counts(declared, derivative):
    loss = jaxloss.custom_loss(_log_error, stand_in=DECLARED[declared])

    def cost(prediction, target, shift, scale, weights):
        return loss(prediction, target, shift=shift, scale=scale, where=np.zeros(2, bool), weights=weights)

    # No item is in the domain, and the shared arguments do not get to know.
    arguments = f32([NAN, -1]), f32(0), f32(50), f32(NAN), f32([NAN, 1])
    assert jax.jit(cost)(*arguments) == 0
    for gradient in jax.jit(derivative(cost, (0, 1, 2, 3, 4)))(*arguments):
        np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


def test_second_derivatives_behind_the_mask():
    poisoned = np.where(KEPT, PREDICTION, NAN)
    hessian = jax.jit(jax.hessian(lambda p: log_error(p, f32(TARGET), shift=SHIFT, scale=SCALE, where=KEPT)))(
        f32(poisoned)
    )
    x, y = PREDICTION - SHIFT, TARGET
    diagonal = np.where(KEPT, SCALE * (SCALE - SCALE * np.log(x) + y) / x**2, 0)
    np.testing.assert_allclose(hessian, np.diag(diagonal), rtol=1e-5)


def test_nothing_counts_for_a_shared_kernel():
    def cost(kernel, temperature, weights):
        return head(f32([[NAN, 1]]), np.array([7]), kernel, temperature=temperature, weights=weights)

    arguments = f32([[1, 2], [3, 4]]), f32(0), f32([0])
    value, gradients = jax.jit(jax.value_and_grad(cost, (0, 1, 2)))(*arguments)
    assert value == 0
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_nothing_counts_for_sums_and_values(reduction):
    loss = jaxloss.reduce(log_error, reduction)
    p = f32([NAN, -1, 2])
    np.testing.assert_array_equal(loss(p, 0.0, where=False), np.zeros(3 if reduction == "none" else ()))
    np.testing.assert_array_equal(jax.jit(jax.grad(lambda p: jnp.sum(loss(p, 0.0, where=False))))(p), np.zeros(3))


def test_masked_single_items_under_vmap():
    poisoned = f32(np.where(KEPT, PREDICTION, -5)), f32(np.where(KEPT, TARGET, NAN))

    def one(p, t, counts, shift):
        return log_error(p, t, shift=shift, scale=SCALE, where=counts)

    arguments = *poisoned, KEPT, f32(SHIFT)
    axes = (0, 0, 0, None)
    values = jax.jit(jax.vmap(one, axes))(*arguments)
    x, y = PREDICTION - SHIFT, TARGET
    e = SCALE * np.log(x) - y
    np.testing.assert_allclose(values, np.where(KEPT, e**2, 0), rtol=1e-5)
    for derivative in (jax.grad, jax.jacfwd):
        to_prediction, to_shift = jax.jit(jax.vmap(derivative(one, (0, 3)), axes))(*arguments)
        slope = np.where(KEPT, 2 * e * SCALE / x, 0)
        np.testing.assert_allclose(to_prediction, slope, rtol=1e-5)
        np.testing.assert_allclose(to_shift, -slope, rtol=1e-5)


def test_masked_labels_and_masks_of_a_batch():
    # The first row that counts takes the place of the others, with its own class_mask.
    logits = f32([[NAN, NAN, NAN], [1, 2, 50], [np.inf, -np.inf, NAN]])
    class_mask = np.array([[False, False, False], [True, True, False], [False, True, False]])
    kept = np.array([False, True, False])
    value, gradient = jax.jit(
        jax.value_and_grad(lambda x: sparse(x, np.array([9, 0, -1]), class_mask, where=kept, label_smoothing=0.1))
    )(logits)
    np.testing.assert_allclose(value, np.log1p(np.e) - 0.05, rtol=1e-6)  # 0.95 log(1 + e) + 0.05 (log(1 + e) - 1)
    p = 1 / (1 + np.e)
    np.testing.assert_allclose(gradient, [[0, 0, 0], [p - 0.95, 0.95 - p, 0], [0, 0, 0]], rtol=1e-5)


@pytest.mark.parametrize("mode", ["eager", "jitted"])
def test_poison_under_debug_nans(mode):
    prediction, target = f32([NAN, 1, 3]), f32([0, 0, NAN])
    logits, labels = f32([[1, 2], [NAN, NAN]]), np.array([0, 7], np.int32)
    weights = f32([NAN, 2, 1])
    arrays = jax.tree.map(jnp.asarray, (prediction, target, logits, labels, weights))
    mask, rows = jnp.array([False, True, False]), jnp.array([True, False])

    def cost(prediction, target, logits, labels, weights):
        return (
            squared(prediction, target, where=mask, weights=weights)
            + sparse(logits, labels, where=rows)
            + log_error(prediction, target, where=mask, shift=0.5)
        )

    derivative = jax.value_and_grad(cost, (0, 1, 2, 4))
    with jax.debug_nans(True):
        value, gradients = (derivative if mode == "eager" else jax.jit(derivative))(*arrays)
    np.testing.assert_allclose(value, 1 + np.log1p(np.e) + np.log(0.5) ** 2, rtol=1e-6)
    slope = 2 + 2 * np.log(0.5) / 0.5
    p = 1 / (1 + np.e)
    expected = [0, slope, 0], [0, -2 - 2 * np.log(0.5), 0], [[p - 1, 1 - p], [0, 0]], [0, 0, 0]
    for gradient, by_hand in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(gradient, by_hand, rtol=1e-5)


@pytest.mark.parametrize("kind", [np.int32, np.uint8, bool])
def test_what_stands_in_for_integers_is_no_integer(kind):
    entropy = jaxloss.custom_loss(lambda rate, count: rate - count * jnp.log(rate), stand_in=0.5)
    rate, where = jnp.asarray([1, 0, 1], kind), jnp.array([True, False, True])
    with jax.debug_nans(True):
        assert jax.jit(lambda rate: entropy(rate, rate, where=where))(rate) == 1


@pytest.mark.parametrize("mode", ["eager", "jitted"])
@pytest.mark.parametrize("loss", [sparse, jaxloss.linear_softmax_cross_entropy], ids=lambda loss: loss.__name__)
def test_a_label_stands_in_that_a_shared_mask_forbids(loss, mode):
    linear = loss is not sparse
    loss = jaxloss.custom_loss(
        loss.__wrapped__, signature=loss.signature, stand_in=0.5, weighted_sum=loss._term.weighted_sum
    )
    rng = np.random.default_rng(0)
    logits, kernel = rng.normal(size=(4, 3)), rng.normal(size=(3, 3))
    forbidden, where = jnp.array([False, True, True]), jnp.array([True, False, True, False])
    labels = jnp.array([1, 7, 2, -1])
    poisoned = jnp.asarray(np.where(where[:, None], logits, NAN), jnp.float32)
    kernel = jnp.asarray(kernel, jnp.float32)

    def cost(x, kernel, smoothing):
        options = {"label_smoothing": smoothing, "where": where}
        if linear:
            return loss(x, labels, kernel, class_mask=forbidden, **options)
        return loss(x @ kernel, labels, forbidden, **options)

    derivative = jax.value_and_grad(cost, (0, 1, 2))
    if linear or mode == "jitted":  # what comes before a loss has its own NaN
        derivative = jax.jit(derivative)
    kept = jnp.asarray(logits[where], jnp.float32)

    def expected(kept, kernel, smoothing):
        scores = (kept @ kernel)[:, 1:]
        surprisal = jax.nn.logsumexp(scores, axis=1, keepdims=True) - scores
        targets = (1 - smoothing) * jnp.eye(2) + smoothing / 2
        return jnp.mean(jnp.sum(targets * surprisal, 1))

    wanted, slopes = jax.value_and_grad(expected, (0, 1, 2))(kept, kernel, 0.1)
    with jax.debug_nans(linear):
        value, (to_x, to_kernel, to_smoothing) = derivative(poisoned, kernel, 0.1)
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
    np.testing.assert_allclose(to_x[jnp.array([0, 2])], slopes[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(to_smoothing, slopes[2], rtol=1e-4)
    if linear:
        np.testing.assert_array_equal(to_x[jnp.array([1, 3])], np.zeros((2, 3)))
        np.testing.assert_allclose(to_kernel, slopes[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "given", ["0.5", NAN, {"prediction": NAN}, {"nothing": 0.5}, {"prediction": None}, {}, [0.5]], ids=repr
)
def test_what_cannot_stand_in(given):
    with pytest.raises(TypeError, match=r"^_log_error: stand_in must be a finite number, or a mapping"):
        jaxloss.custom_loss(_log_error, stand_in=given)


def test_a_stand_in_is_a_part_of_the_loss():
    one, other = (jaxloss.custom_loss(_log_error, stand_in=given) for given in (2.0, {"prediction": 2, "target": 2}))
    assert one == other != jaxloss.custom_loss(_log_error)
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one


# ----------------------------------------------------------------------------------------------------------- how light


def equations(jaxpr):
    """How many there are, nested ones counted."""
    inner = jax.tree.leaves(
        [list(equation.params.values()) for equation in jaxpr.eqns], is_leaf=lambda x: hasattr(x, "eqns")
    )
    return len(jaxpr.eqns) + sum(equations(x) for x in inner if hasattr(x, "eqns"))


@pytest.mark.parametrize(
    ("keywords", "most"),
    [((), 10), (("where",), 26), (("weights",), 60), (("where", "weights"), 62)],
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


# -------------------------------------------------------------------------------------------------------------- dtypes

LOW = [jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64]


@pytest.mark.parametrize("second", LOW, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("first", LOW, ids=lambda dtype: dtype.__name__)
def test_dtypes_of_value_and_gradients(first, second):
    with jax.enable_x64(True):
        p, t = jnp.array([0.1, 2.7, -1.3], first), jnp.array([1.1, 0.4, 0.3], second)
        delta = jnp.array(0.7, jnp.float64)
        weights = jnp.array([1, 2, 3.0], jnp.float16)
        value, gradients = jax.jit(
            jax.value_and_grad(lambda *a: jaxloss.huber(*a[:2], delta=a[2], weights=a[3]), (0, 1, 2, 3))
        )(p, t, delta, weights)
        assert value.dtype == (jnp.float64 if jnp.float64 in (first, second) else jnp.float32)
        assert [gradient.dtype for gradient in gradients] == [first, second, jnp.float64, jnp.float16]
        e, w = np.asarray(p, np.float64) - np.asarray(t, np.float64), np.array([1, 2, 3])
        expected = np.where(np.abs(e) <= 0.7, e**2 / 2, 0.7 * (np.abs(e) - 0.35))
        # The inputs are rounded, the arithmetic is not.
        np.testing.assert_allclose(value, np.sum(w * expected) / 6, rtol=1e-6)
        slope = w * np.clip(e, -0.7, 0.7) / 6
        precision = max(float(jnp.finfo(first).eps), 1e-6)
        np.testing.assert_allclose(np.asarray(gradients[0], np.float64), slope, rtol=precision)


@both_x64
def test_scalars_do_not_decide_the_dtype(x64):
    with jax.enable_x64(x64):
        p = jnp.array([1.5, 2.5], jnp.float32)
        for scalar in (0.5, np.float64(0.5), np.float32(0.5), np.float16(0.5)):
            value = error(p, scalar)
            assert (value.dtype, value) == (jnp.float32, 1.5)
        assert error(1.5, 0).dtype == (jnp.float64 if x64 else jnp.float32)
        assert error(np.array([1, 2]), 0).dtype == (jnp.float64 if x64 else jnp.float32)
        assert error(np.array([1.5, 2.5]), 0.5).dtype == (jnp.float64 if x64 else jnp.float32)


@both_x64
def test_everything_else_follows_the_arrays(x64):
    with jax.enable_x64(x64):
        p, t = jnp.array([[1.0, 2.0]], jnp.bfloat16), jnp.array([[0, 1]], jnp.uint8)
        weights, mask = np.array([[1.0, 3.0]]), np.array([[True, True]])
        loss = jaxloss.reduce(functools.partial(jaxloss.huber, delta=np.array([0.5, 2.0])), "sum")
        tally = loss.tally(p, t, where=mask, weights=weights)
        values = jaxloss.reduce(loss, "none")(p, t, where=mask, weights=weights)
    assert {tally.numerator.dtype, tally.denominator.dtype, values.dtype} == {jnp.dtype(jnp.float32)}
    np.testing.assert_allclose(values, [[0.375, 1.5]])  # 0.5 (1 - 0.25), and 3 times 0.5
    assert tally.denominator == 4

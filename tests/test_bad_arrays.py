"""Arrays that do not fit are refused while the call is traced: which loss and array, expected, got, the fix."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import (
    ELEMENTWISE,
    LABELS,
    LEADING,
    NAN,
    ONES,
    ROWS,
    SIGNED,
    WITH_LABELS,
    WITH_TARGETS,
    array_names,
    arrays_of,
    binary,
    catalogue,
    cores,
    everywhere,
    huber,
    mask,
    refused,
    soft,
    sparse,
    squared,
    table,
    term,
    zeros,
)

import jaxloss


def test_the_tables_cover_losses():
    assert {"squared_error", "binary_focal", "gan_discriminator"} <= set(ELEMENTWISE)
    assert {"kl_divergence", "triplet"} <= set(SIGNED)
    assert {"sparse_categorical_cross_entropy"} <= set(WITH_LABELS)
    assert {"categorical_cross_entropy", "softmax_cross_entropy"} <= set(WITH_TARGETS)


# -------------------------------------------------------------------------------------------------------------- shapes


@everywhere
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_column_against_row(name, run):
    loss = catalogue[name]
    (first, second), (one, other) = array_names(loss), arrays_of(loss)
    with refused(ValueError, f"{name}: ", first, second, "(4, 1) and (4,)", f"{first}.squeeze(-1)"):
        run(loss, one[:, None], other)
    with refused(ValueError, f"{name}: ", first, second, "(4,) and (4, 1)", f"{second}.squeeze(-1)"):
        run(loss, one, other[:, None])


@everywhere
@pytest.mark.parametrize("name", SIGNED)
def test_axes_differ(name, run):
    loss, (first, second, *_) = catalogue[name], array_names(catalogue[name])
    one, other, *more = arrays_of(loss)
    longer = np.concatenate([other, other[:1]])
    shapes = f"{one.shape} and {longer.shape}"
    with refused(ValueError, f"{name}: ", first, second, "leading axes", shapes, "nothing is broadcast"):
        run(loss, one, longer, *more)
    if all(cores(loss)[:2]):
        axis = repr(cores(loss)[0][0])
        with refused(ValueError, f"{name}: ", f"{second} has 2", axis, "(4, 2)", f"{first} has 3", "(4, 3)"):
            run(loss, one, other[..., :-1], *more)
    if cores(loss)[0]:
        with refused(ValueError, f"{name}: {first} ", f"({cores(loss)[0][0]})", "shape ()"):
            loss(0.5, other, *more)


def where_of(loss, *arrays):
    return loss(*arrays[:-1], where=arrays[-1])


def weights_of(loss, *arrays):
    return loss(*arrays[:-1], weights=arrays[-1])


where_of_huber, weights_of_huber = functools.partial(where_of, huber), functools.partial(weights_of, huber)
ints = functools.partial(zeros, dtype=np.int32)


def weighed(logits, targets, weight):
    return binary(logits, targets, positive_weight=weight)


def scaled(u, v, scale):
    return term(lambda u, v, *, scale: scale * jnp.sum(u - v), "(d),(d)->()")(u, v, scale=scale)


def partly(how, axis):
    return jaxloss.reduce(huber, how, axis=axis)


# What is called, with which arrays, and the parts of the sentence.
SHAPES = {
    "row first": (huber, (zeros(1, 4), zeros(4)), "prediction and target | (1, 4) and (4,) | prediction.squeeze(-2)"),
    "an axis between": (huber, (zeros(4, 3), zeros(4, 1, 3)), "(4, 3) and (4, 1, 3) | target.squeeze(-2)"),
    "column and row": (huber, (zeros(4, 1), zeros(1, 4)), "(4, 1) and (1, 4) | nothing is broadcast"),
    "one and four": (huber, (zeros(1), zeros(4)), "(1,) and (4,) | nothing is broadcast"),
    "trailing": (huber, (zeros(4, 3), zeros(3)), "(4, 3) and (3,) | nothing is broadcast"),
    "leading": (huber, (zeros(4, 3), zeros(4)), "(4, 3) and (4,) | nothing is broadcast"),
    "four and five": (huber, (zeros(4), zeros(5)), "(4,) and (5,) | nothing is broadcast"),
    "labels of one column": (sparse, (zeros(2, 3), ints(2, 1)), "(2, 3) and (2, 1) | labels.squeeze(-1)."),
    "labels of one row": (sparse, (zeros(2, 3), ints(1, 2)), "(2, 3) and (1, 2) | labels.squeeze(-2)."),
    "logits of one column": (sparse, (zeros(2, 1, 3), ints(2)), "(2, 1, 3) and (2,) | logits.squeeze(-2)."),
    "classes first": (sparse, (zeros(2, 3, 8, 8), ints(2, 8, 8)), "(2, 3, 8, 8) | jnp.moveaxis(logits, 1, -1)."),
    "classes between": (sparse, (zeros(2, 8, 3, 9), ints(2, 8, 9)), "(2, 8, 9) | jnp.moveaxis(logits, 2, -1)."),
    "one-hot labels": (sparse, (zeros(4, 3), ints(4, 3)), "jnp.argmax(labels, -1), or call softmax_cross_entropy,"),
    "class_mask too long": (soft, (ROWS, ROWS, mask(4)), "class_mask has 4 | logits has 3 | (4, 3)"),
    "class_mask of others": (soft, (ROWS, ROWS, mask(2, 3)), "logits and class_mask | (4, 3) and (2, 3)"),
    "k labels of k classes": (soft, (zeros(3, 3), ints(3)), "targets must be real numbers to be shared | one_hot"),
    "an option too short": (weighed, (ROWS, ROWS, zeros(2)), "positive_weight | trailing | (2,) | (4, 3)"),
    "an option too long": (weighed, (ROWS, ROWS, zeros(4)), "positive_weight | trailing | (4,) | must be an array"),
    **{
        f"{name} {shape}": (call, (ROWS, ROWS, np.ones(shape, dtype)), f"{name} | (4, 3) | leading | {shape} | {fix}")
        for name, call, dtype in [("where", where_of_huber, bool), ("weights", weights_of_huber, np.float32)]
        for shape, fix in [
            ((3,), f"write jnp.broadcast_to({name}, (4, 3))."),
            ((1, 3), f"write jnp.broadcast_to({name}, (4, 3))."),
            ((4, 1), f"write {name}.squeeze(-1)."),
            ((4, 3, 1), f"write {name}.squeeze(-1)."),
            ((5,), "trailing axes."),
            ((12,), "trailing axes."),
        ]
    },
    "where of classes": (functools.partial(where_of, sparse), (ROWS, LABELS, mask(4, 3)), "values (4,) | ..._mask"),
    "weights of classes": (functools.partial(weights_of, sparse), (ROWS, LABELS, ROWS), "values (4,) | ..._mask"),
    "axis 2": (partly("mean", 2), (ROWS, ROWS), "axis=(2,) | out of range | 2 axes"),
    "axis -3": (partly("mean", -3), (ROWS, ROWS), "axis=(-3,) | out of range | 2 axes"),
    "axes 0 and 2": (partly("mean", (0, 2)), (ROWS, ROWS), "axis=(0, 2) | out of range | 2 axes"),
    "axis of the rest": (jaxloss.reduce(partly("sum", -1), axis=1), (ROWS, ROWS), "axis=(1,) | out of range | 1 axes"),
    "axes 0 and 0": (partly("mean", (0, 0)), (ROWS, ROWS), "axis | (0, 0) | twice"),
    "axes 1 and -1": (partly("mean", (1, -1)), (ROWS, ROWS), "axis | (1, -1) | twice"),
    "two last numbers": (jaxloss.reduce(huber, lambda t: jnp.stack([t.mean] * 2)), (ONES, ONES), "scalar | (2,)"),
    "tally by axis 0": (partly("mean", 0).tally, (ROWS, ROWS), "inner step | first axis | (4, 3)"),
    "tally by axis -2": (partly("mean", -2).tally, (ROWS, ROWS), "inner step | first axis | (4, 3)"),
    "tally by both": (partly("mean", (0, 1)).tally, (ROWS, ROWS), "inner step | first axis | (4, 3)"),
    "tally by each": (jaxloss.reduce(partly("mean", -1), axis=-1).tally, (ROWS, ROWS), "inner step | first axis"),
    "a mean": (term(lambda u, v: jnp.mean(u - v)), (ONES, ONES), "arrays (4,) | got () | u (4,) | reduce | signature="),
    "a mean of rows": (term(lambda u, v: jnp.mean(u - v, -1)), (ROWS, ROWS), "(4, 3) | got (4,) | reduce | signature="),
    "a row": (term(lambda u, v: u - v, "(d),(d)->()"), (ROWS, ROWS), "'(d),(d)->()' | shape () | got (3,)"),
    "other items": (
        term(lambda u, v: jnp.sum(u - v, axis=1), "(d),(d)->()"),
        (ROWS, ROWS),
        "axis 1 is out of bounds | a term sees one item | '(d),(d)->()'",
    ),
    "no axis": (term(lambda u, v: jnp.sum(u - v, 1)), (ONES, ONES), "axis 1 is out of bounds | reduce | signature="),
    "an option of items": (scaled, (ROWS, ROWS, ONES), "'scale' of shape (4,) | what varies by item must be an array"),
}


@everywhere
@table(SHAPES)
def test_shapes(row, run):
    call, arrays, parts = row
    with refused(ValueError, *parts.split(" | ")):
        run(call, *arrays)


@everywhere
@pytest.mark.parametrize("name", WITH_TARGETS)
def test_labels_where_one_hot_is_due(name, run):
    fix = "integer labels", "jax.nn.one_hot(targets, k)"
    with refused(ValueError, f"{name}: targets ", "(4,)", "(4, 3)", *fix):
        run(catalogue[name], ROWS, LABELS)
    with refused(ValueError, f"{name}: ", "targets", "(2, 4, 3) and (2, 4)", *fix):
        run(catalogue[name], np.stack([ROWS, ROWS]), np.stack([LABELS, LABELS]))


def test_the_sister_that_takes_the_other():
    with refused(TypeError, "or call softmax_cross_entropy, which takes targets."):
        sparse(ROWS, ROWS)
    with refused(ValueError, "or call sparse_categorical_cross_entropy, which takes labels."):
        jaxloss.categorical_cross_entropy(ROWS, LABELS)
    with refused(ValueError, "jax.nn.one_hot(targets, k)."):
        jaxloss.poly_cross_entropy(ROWS, LABELS)


# --------------------------------------------------------------------------------------------------------------- kinds


@everywhere
@pytest.mark.parametrize("name", WITH_LABELS)
def test_labels_that_are_no_integers(name, run):
    for dtype in (np.float32, np.float16, bool):
        with refused(TypeError, f"{name}: labels must be integers", np.dtype(dtype).name, "pass labels.astype(int)."):
            run(catalogue[name], ROWS, LABELS.astype(dtype))
    with refused(TypeError, f"{name}: labels must be integers", "float32", "(4, 3)", "pass jnp.argmax(labels, -1) if"):
        run(catalogue[name], ROWS, ROWS)
    with refused(ValueError, f"{name}: ", "(4, 3) and (4, 3)", "one-hot", "jnp.argmax(labels, -1)"):
        run(catalogue[name], ROWS, ROWS.astype(np.int32))


KINDS = {
    **{
        f"class_mask, {kind}": (soft, (ROWS, ROWS, np.ones(3, kind)), f"class_mask must be booleans | {kind} | != 0")
        for kind in ("float32", "int32")
    },
    **{
        f"where, {kind}": (
            where_of_huber,
            (ROWS, ROWS, np.ones(4, kind)),
            f"where must be booleans | {kind} | weights=",
        )
        for kind in ("float32", "int32", "uint8")
    },
    "complex prediction": (huber, (ONES * 1j, ONES), "prediction | real | complex64"),
    "complex target": (huber, (ONES, ONES * 1j), "target | real | complex64"),
    "indices": (term(lambda row, ids: row[ids], "(d),()->()"), (ROWS, LABELS), "integer | named labels or ..._labels"),
    "booleans": (term(lambda u, v: u > v), (ROWS, ROWS), "real numbers, got bool | .astype(float)"),
    "integers": (term(lambda u, v: jnp.argmax(u - v), "(d),(d)->()"), (ROWS, ROWS), "got int32 | .astype(float)"),
}


@everywhere
@table(KINDS)
def test_kinds(row, run):
    call, arrays, parts = row
    with refused(TypeError, *parts.split(" | ")):
        run(call, *arrays)


NO_ARRAYS = {
    "None": (None, "NoneType"),
    "str": ("abc", "str"),
    "bytes": (b"abc", "bytes"),
    "array-of-str": (np.array(["a", "b"]), "<U1"),
    "dict": ({"a": 1.0}, "dict"),
    "ragged": ([[1.0], [1.0, 2.0]], "list"),
    "object": (object(), "object"),
    "complex": (1j, "complex"),
    "complex64": (np.complex64(1), "complex"),
    "function": (abs, "function"),
    "masked": (np.ma.array([0, 1], mask=[False, True]), "masked array"),
    "key": (jax.random.split(jax.random.key(0), LEADING), "key"),
}


@pytest.mark.parametrize("argument", ["prediction", "target", "labels", "class_mask", "weights", "where"])
def test_what_is_no_array(argument):
    loss = huber if argument in ("prediction", "target") else sparse
    for value, came in NO_ARRAYS.values():
        if value is not None or argument not in ("class_mask", "weights", "where"):
            arrays = dict(zip(array_names(loss), arrays_of(loss), strict=True)) | {argument: value}
            with refused(TypeError, f"{loss.__name__}: {argument} ", came):
                loss(**arrays)


def test_masked_arrays():
    masked = np.ma.array([0, 1, 1, 0], mask=[0, 0, 1, 0])
    with refused(TypeError, "labels is a masked array", "pass labels.data, and where=~labels.mask."):
        sparse(ROWS, masked)
    with refused(TypeError, "huber: delta is a masked array", "delta.data"):
        huber(ONES, ONES, delta=np.ma.array([1.0, 1.0, 2.0, 2.0]))
    cost = jaxloss.value_and_grad(lambda p, batch: squared.tally(p, batch["y"]), microbatch_size=2)
    with refused(TypeError, "value_and_grad: batch['y'] is a masked array", "batch['y'].data"):
        cost(jnp.ones(4), {"y": masked})


@pytest.mark.parametrize("where", [1, 1.0, [1, 0, 1, 1], np.float64(1)], ids=str)
def test_where_of_plain_numbers(where):
    with refused(TypeError, "huber: where must be booleans", "mask != 0", "weights="):
        huber(ONES, ONES, where=where)


@pytest.mark.parametrize("weights", [-1, -0.5, NAN, np.float32(-1), np.float64(-0.5), np.int64(-1)], ids=repr)
def test_negative_weights(weights):
    with refused(ValueError, f"huber: weights must be >= 0, got {weights!r}."):
        huber(ONES, ONES, weights=weights)
    with refused(ValueError, "huber: weights must be >= 0"):
        jax.jit(lambda p: huber(p, ONES, weights=weights))(ONES)

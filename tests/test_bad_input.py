"""A mistake is refused while the call is traced, in one sentence: which loss and argument, expected, got, the fix."""

import contextlib
import functools
import inspect
import itertools
import re
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES

import jaxloss
from jaxloss.types import TRACED

catalogue = {
    name: loss
    for name, loss in jaxloss.catalogue.items()
    if not any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in inspect.signature(loss).parameters.values())
}
ELEMENTWISE = [
    name for name, loss in catalogue.items() if loss.signature is None and loss.__wrapped__.__code__.co_argcount == 2
]
# Of one core axis; those of several have tests of their own.
SIGNED = [
    name
    for name, loss in catalogue.items()
    if loss.signature is not None and len(set(re.findall(r"[a-z]", loss.signature))) == 1
]

LEADING, CLASSES = 4, 3
ROWS = np.full((LEADING, CLASSES), 0.5, np.float32)
ONES = np.ones(LEADING, np.float32)
LABELS = np.zeros(LEADING, np.int32)
NAN = float("nan")

huber = jaxloss.huber
sparse = jaxloss.softmax_cross_entropy_with_integer_labels
soft = jaxloss.softmax_cross_entropy
binary = jaxloss.sigmoid_binary_cross_entropy
squared = jaxloss.squared_error


@contextlib.contextmanager
def refused(error, *parts):
    """Of exactly this type, in one sentence that has all the parts."""
    with pytest.raises(error) as caught:
        yield
    message = str(caught.value)
    assert caught.type is error, f"{caught.type.__name__}: {message}"
    assert "\n" not in message, message
    assert message.endswith((".", "?")), message
    for part in parts:
        assert part in message, f"{part!r} is not in: {message}"


def eager(call, *arrays):
    return call(*map(jnp.asarray, arrays))


def jitted(call, *arrays):
    return jax.jit(call)(*arrays)


def vmapped(call, *arrays):
    return jax.vmap(call)(*(np.stack([array, array]) for array in arrays))


everywhere = pytest.mark.parametrize("run", [eager, jitted, vmapped])


def table(rows):
    """A test for each row, by its name."""
    return pytest.mark.parametrize("row", rows.values(), ids=rows)


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def mask(*shape):
    return np.ones(shape, bool)


def term(function, signature=None):
    return jaxloss.custom_loss(function, signature=signature)


def array_names(loss):
    parameters = inspect.signature(loss).parameters.values()
    return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty]


def cores(loss):
    """The core axes of the arrays that must be passed: "(k),()->()" is [["k"], []]."""
    inputs = re.findall(r"\(([^)]*)\)", loss.signature.split("->")[0])
    return [core.split(",") if core else [] for core in inputs][: len(array_names(loss))]


def arrays_of(loss, leading=(LEADING,), size=CLASSES):
    names = array_names(loss)
    ranks = [0] * len(names) if loss.signature is None else map(len, cores(loss))
    shapes = [leading + (size,) * rank for rank in ranks]
    return [
        np.zeros(shape, np.int32) if name == "labels" else np.full(shape, 0.5, np.float32)
        for name, shape in zip(names, shapes, strict=True)
    ]


# The class axis is the one that all logits have.
WITH_LABELS = [name for name in SIGNED if array_names(catalogue[name])[1:2] == ["labels"] and cores(catalogue[name])[0]]
WITH_LABELS = [name for name in WITH_LABELS if "events" not in array_names(catalogue[name])]
WITH_TARGETS = [name for name in SIGNED if "targets" in array_names(catalogue[name])]


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


# ----------------------------------------------------------------------------------------------------------- arguments

ARGUMENTS = {
    "misspelt option": (lambda: huber(ONES, ONES, dleta=2.0), "has no argument 'dleta' | did you mean 'delta'?"),
    "misspelt where": (lambda: huber(ONES, ONES, were=ONES), "has no argument 'were' | did you mean 'where'?"),
    "misspelt array": (lambda: sparse(ROWS, label=LABELS), "has no argument 'label' | did you mean 'labels'?"),
    "unheard of": (lambda: huber(ONES, ONES, zzz=1), "no argument 'zzz', it takes prediction, target, delta, where, w"),
    "in a tally": (lambda: huber.tally(ONES, ONES, dleta=2.0), "has no argument 'dleta' | did you mean 'delta'?"),
    "in a sum": (lambda: jaxloss.reduce(huber, "sum")(ONES, ONES, dleta=2.0), "has no argument 'dleta' | 'delta'?"),
    "option by place": (lambda: huber(ONES, ONES, 2.0), "2 arrays (prediction, target) | by name delta, where | 3 pos"),
    "too many arrays": (lambda: squared(ONES, ONES, ONES), "squared_error takes 2 arrays | 3 positional"),
    "one too many": (lambda: soft(ROWS, ROWS, None, 0.1), "takes 3 arrays | by name label_smoothing | 4 positional"),
    "option in a mask's place": (lambda: soft(ROWS, ROWS, 0.1), "class_mask must be | by name (label_smoothing"),
    "one too few": (lambda: huber(ONES), "huber:  | missing | 'target'"),
    "none": (lambda: huber(), "huber:  | missing | 'prediction'"),
    "not the first": (lambda: huber(target=ONES), "huber:  | missing | 'prediction'"),
    "twice": (lambda: huber(ONES, ONES, prediction=ONES), "huber:  | multiple | 'prediction'"),
}


@table(ARGUMENTS)
def test_arguments(row):
    call, parts = row
    with refused(TypeError, *parts.split(" | ")):
        call()


@pytest.mark.parametrize("transform", [jax.jit, jax.vmap, jax.grad], ids=lambda transform: transform.__name__)
def test_a_misspelt_option_under_a_transformation(transform):
    with refused(TypeError, "huber has no argument 'dleta'", "did you mean 'delta'?"):
        transform(lambda p: huber(p, ONES, dleta=2.0) if p.ndim else huber(p, 1.0, dleta=2.0))(ONES)


# The loss, the argument of another library and its value, and the line that does it here.
WORDS = [
    (huber, "reduction", "none", "jaxloss.reduce(jaxloss.huber, 'none')(prediction, target)."),
    (huber, "reduction", "sum", "jaxloss.reduce(jaxloss.huber, 'sum')(prediction, target)."),
    (huber, "reduction", "sum_over_batch_size", "jaxloss.reduce(jaxloss.huber, 'mean')(prediction, target)."),
    (huber, "reduction", None, "jaxloss.reduce(jaxloss.huber, 'none')(prediction, target)."),
    (huber, "size_average", False, "jaxloss.reduce(jaxloss.huber, 'sum')(prediction, target)."),
    (huber, "reduce", False, "jaxloss.reduce(jaxloss.huber, 'none')(prediction, target)."),
    (huber, "reduce_fn", jnp.sum, "jaxloss.reduce(jaxloss.huber, 'sum')(prediction, target)."),
    (huber, "chunk_size", 3, "jaxloss.reduce(jaxloss.huber, chunk_size=3)(prediction, target)."),
    (huber, "axis", 1, "jaxloss.reduce(jaxloss.huber, axis=1)."),
    (sparse, "axis", 1, "jnp.moveaxis(logits, axis, -1)"),
    (sparse, "ignore_index", -100, "where=labels != -100."),
    (sparse, "ignore_class", 255, "where=labels != 255."),
    (sparse, "weight", ONES, "weights=class_weights[jnp.maximum(labels, 0)]"),
    (soft, "class_weights", ONES, "weights=targets @ class_weights"),
    (huber, "weight", ONES, "jnp.mean(weight * jaxloss.reduce(jaxloss.huber, 'none')(prediction, target))."),
    (huber, "sample_weight", ONES, "weights=sample_weight"),
    (binary, "pos_weight", 2.0, "called 'positive_weight' here."),
    (huber, "beta", 2.0, "called 'delta' here."),
    (jaxloss.smooth_l1, "delta", 2.0, "called 'beta' here."),
    (jaxloss.pinball, "tau", 0.5, "called 'quantile' here."),
    (jaxloss.student_t_nll, "df", 3.0, "called 'degrees_of_freedom' here."),
    (sparse, "smoothing", 0.1, "called 'label_smoothing' here."),
    (jaxloss.sparse_categorical_cross_entropy, "label_smoothing", 0.1, "(1 - s) * targets + s / k."),
    (jaxloss.categorical_cross_entropy, "from_logits", True, "probabilities, or call softmax_cross_entropy, which"),
    (jaxloss.sigmoid_focal, "from_logits", False, "this loss takes logits, or call binary_focal, which takes prob"),
    (jaxloss.squared_error, "from_logits", True, "this loss takes prediction."),
    (huber, "mask", ONES > 0, "where=mask"),
    (sparse, "mask", ONES > 0, "class_mask leaves out slots of an item."),
    (huber, "segments", LABELS, "jaxloss.reduce(jaxloss.huber, axis=-1)"),
    (huber, "eps", 1e-8, "drop it"),
    (jaxloss.poisson_nll, "full", True, "constants"),
    (huber, "y_true", ONES, "prediction, target in this order"),
    (term(lambda u, v: u - v), "reduction", "sum", "jaxloss.reduce(<lambda>, 'sum')(u, v)."),
]


@pytest.mark.parametrize(
    ("loss", "name", "value", "line"), WORDS, ids=[f"{loss.__name__}-{name}" for loss, name, *_ in WORDS]
)
def test_the_words_of_other_libraries(loss, name, value, line):
    with refused(TypeError, f"{loss.__name__} has no argument {name!r}", line):
        loss(*(ROWS for _ in array_names(loss)), **{name: value})


# ------------------------------------------------------------------------------------------------------------- options

OUT_OF_RANGE = [
    ("huber", "delta", "> 0", (0, -1, NAN)),
    ("softmax_cross_entropy", "label_smoothing", ">= 0 and <= 1", (-0.1, 1.1, 2, NAN)),
    ("softmax_cross_entropy", "z_loss", ">= 0", (-1e-4,)),
    ("binary_focal", "gamma", ">= 0", (-1, -0.5, NAN)),
    ("binary_focal", "alpha", ">= 0 and <= 1", (-0.1, 1.5)),
]


def numbers(value):
    yield value
    yield from (np.float32(value), np.float64(value), np.float16(value))
    if np.isfinite(value) and value == int(value):
        yield from (np.int32(value), np.int64(value))
    yield np.array(value)


def outside(interval):
    yield from (end for end in (interval.gt, interval.lt) if end is not None)
    yield from (end - 1 for end in (interval.gt, interval.ge) if end is not None)
    yield from (end + 1 for end in (interval.lt, interval.le) if end is not None)


# Every option of the catalogue that has a range, and what is out of it.
RANGED = {
    (name, option): [value for mark in hint.__metadata__ if mark != TRACED for value in outside(mark)]
    for name, loss in jaxloss.catalogue.items()
    for option, hint in typing.get_type_hints(loss.__wrapped__, include_extras=True).items()
    if set(getattr(hint, "__metadata__", ())) - {TRACED}
}
RANGED["tweedie_deviance", "power"].append(0.5)


def test_many_options_have_a_range():
    assert {("student_t_nll", "degrees_of_freedom"), ("wing", "curvature"), ("ldam", "scale")} <= set(RANGED)


def required(loss):
    """The options that have no default."""
    parameters = inspect.signature(loss).parameters.values()
    return {p.name: ONES[:CLASSES] for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty}


@pytest.mark.parametrize(("name", "option"), RANGED)
def test_every_number_out_of_range_is_refused(name, option):
    loss = jaxloss.catalogue[name]
    for number in itertools.chain.from_iterable(map(numbers, RANGED[name, option])):
        with refused(ValueError, f"{name}: {option} must be "):
            loss(*arrays_of(loss), **required(loss) | {option: number})


@pytest.mark.parametrize(("name", "option", "expected", "values"), OUT_OF_RANGE)
def test_option_out_of_range(name, option, expected, values):
    loss = catalogue[name]
    arrays = arrays_of(loss)
    for value in values:
        for number in numbers(value):
            with refused(ValueError, f"{name}: {option} must be {expected}, got {number!r}."):
                loss(*arrays, **{option: number})
        bound = jaxloss.reduce(functools.partial(loss, **{option: value}), "sum")
        for call in (bound, jax.jit(lambda *arrays, value=value: loss(*arrays, **{option: value}))):
            with refused(ValueError, f"{name}: {option} must be {expected}"):
                call(*arrays)


@pytest.mark.parametrize(
    ("name", "option"), [ranged for ranged in RANGED if ranged != ("linear_softmax_cross_entropy", "memory")]
)
@pytest.mark.sampled(3)
def test_an_array_out_of_range_is_nan(name, option):
    loss = jaxloss.catalogue[name]
    kernel = {"kernel": zeros(CLASSES, CLASSES)} if "kernel" in inspect.signature(loss).parameters else {}
    value = jnp.float32(RANGED[name, option][-1])
    cost = jax.jit(lambda value, *arrays: loss(*arrays, **kernel, **required(loss) | {option: value}))
    assert np.isnan(cost(value, *arrays_of(loss)))


def test_an_option_out_of_range_for_one_class():
    values = jaxloss.reduce(huber, "none")(ROWS, ROWS, delta=np.float32([1, -1, 2]))
    np.testing.assert_array_equal(values, np.float32([0, NAN, 0]) * ROWS)
    # A masked NaN counts for nothing, and in range the gradient is that of the option.
    assert huber(np.float32([3.0]), 0.0, delta=jnp.float32(-1), where=False) == 0
    assert jax.jit(jax.grad(lambda delta: huber(np.float32([3.0]), 0.0, delta=delta)))(2.0) == 1  # |e| - delta


@pytest.mark.parametrize(
    "value",
    ["1", None, 1j, np.complex64(1), [[1], [1, 2]], {}, object(), abs, True],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize(("name", "option"), [("huber", "delta"), ("softmax_cross_entropy", "label_smoothing")])
def test_option_that_is_no_number(name, option, value):
    with refused(TypeError, f"{name}: {option} must be a"):
        catalogue[name](*arrays_of(catalogue[name]), **{option: value})


@pytest.mark.parametrize("distance", ["l2", "L2", None, 2, ["euclidean"]])
def test_unknown_distance(distance):
    known = "euclidean, squared_euclidean, cosine"
    with refused(ValueError, "triplet: distance must be one of ", known, "function", f"got {distance!r}"):
        jaxloss.triplet(ROWS, ROWS, ROWS, distance=distance)


# --------------------------------------------------------------------------------------------------------------- terms


def test_a_term_that_indexes_other_items():
    with refused(IndexError, "<lambda>: Too many indices", "a term sees one item", "'(d),()->()'"):
        term(lambda row, labels: row[labels, 0], "(d),()->()")(ROWS, LABELS)
    with refused(ValueError, "integer", "named labels or ..._labels"):
        term(lambda row, ids: jnp.take(row, ids), "(d),()->()")(ROWS, LABELS)


@pytest.mark.parametrize("signature", [None, "(d),(d)->(d)"])
@pytest.mark.parametrize(
    ("returned", "came"),
    [
        (lambda e: None, "NoneType"),  # noqa: ARG005
        (lambda e: (e, jnp.sum(e)), "tuple"),
        (lambda e: [e], "list"),
        (lambda e: {"value": e}, "dict"),
        (lambda e: "low", "str"),  # noqa: ARG005
    ],
    ids=["None", "value-and-aux", "list", "dict", "str"],
)
def test_a_term_that_returns_no_array(returned, came, signature):
    def lossy(u, v):
        return returned(u - v)

    with refused(TypeError, "lossy: the term must return an array", came):
        jaxloss.custom_loss(lossy, signature=signature)(ONES, ONES)


def with_where(prediction, target, where=None):
    return prediction - target, where


def with_weights(prediction, target, *, weights=None):
    return prediction - target, weights


def with_var_positional(*arrays):
    return arrays[0]


def with_var_keyword(prediction, **options):
    return prediction, options


def with_positional_default(prediction, target, delta=1.0):
    return prediction - target, delta


def without_arrays(*, delta=1.0):
    return delta


def of_nothing():
    return 0.0


@pytest.mark.parametrize(
    ("term", "parts"),
    [
        (with_where, ("'where'", "every loss has already", "drop it")),
        (with_weights, ("'weights'", "every loss has already", "drop it")),
        (with_var_positional, ("*arrays", "name each")),
        (with_var_keyword, ("**options", "name each")),
        (with_positional_default, ("'delta'", "1.0", "option", "'*'")),
        (without_arrays, ("no array",)),
        (of_nothing, ("no array",)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_parameters_of_a_term(term, parts):
    with refused(TypeError, term.__name__, *parts):
        jaxloss.custom_loss(term)
    not_yours = f"not yours fits in a term: jaxloss.reduce(lambda prediction, target: {term.__name__}("
    with refused(TypeError, term.__name__, *parts, not_yours):
        jaxloss.reduce(term)


def two_arrays(u, v):
    return jnp.sum(u * v)


@pytest.mark.parametrize(
    ("signature", "parts"),
    [
        ("(k),()", ("'(k),()'", "(k),()->()")),
        ("k,k->()", ("'k,k->()'", "(k),()->()")),
        ("(k),(k)->(),()", ("one output", "'(k),(k)->(),()'")),
        ("(k),(k)->", ("'(k),(k)->'",)),
        ("(k,),(k)->()", ("'(k,),(k)->()'",)),
        ("", ("''",)),
        ("(k)->()", ("two_arrays: ", "'(k)->()'", "1 arrays", "takes 2: u, v")),
        ("(k),(k),(k)->()", ("two_arrays: ", "3 arrays", "takes 2: u, v")),
        ("(k),(k)->(m)", ("'(k),(k)->(m)'", "output axis 'm'")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_signatures(signature, parts):
    for make in (jaxloss.custom_loss(signature=signature), functools.partial(term, signature=signature)):
        with refused(ValueError, *parts):
            make(two_arrays)


# ------------------------------------------------------------------------------------------- losses, steps and tallies

MADE_OF = {
    "a signature of an int": (lambda: term(two_arrays, 3), "signature | 3"),
    "a signature of a tuple": (lambda: term(two_arrays, ("(k)", "(k)")), "signature | ('(k)', '(k)')"),
    "custom_loss of a number": (lambda: jaxloss.custom_loss(3), "custom_loss takes a function | int"),
    "custom_loss of an array": (lambda: jaxloss.custom_loss(ONES), "custom_loss takes a function | ndarray"),
    "custom_loss of a signature": (lambda: jaxloss.custom_loss("(d)->()"), "custom_loss(signature='(d)->()')."),
    "custom_loss of a loss": (lambda: jaxloss.custom_loss(huber), "custom_loss | jaxloss.huber | reduce"),
    "Loss of a function": (lambda: jaxloss.Loss(two_arrays), "jaxloss.custom_loss(f) | two_arrays"),
    "reduce of a number": (lambda: jaxloss.reduce(3), "a loss first | int | jaxloss.reduce(loss, 'mean')(prediction"),
    "reduce of a value": (lambda: jaxloss.reduce(huber(ONES, ONES), "sum"), "not its value | reduce(loss, 'sum')(pred"),
    "reduce of a word": (lambda: jaxloss.reduce("sum")(huber), "a loss first | str | reduce(loss, 'sum')(pred"),
    "a product": (lambda: 0.5 * huber, "huber is a function | values of losses | tallies"),
    "a product with an array": (lambda: ONES * huber, "huber is a function | values of losses | tallies"),
    "a product from the right": (lambda: huber * jnp.float32(2), "huber is a function | values of losses"),
    "a sum": (lambda: huber + squared, "huber is a function | values of losses | tallies"),
    "a sum of several": (lambda: sum([huber, squared]), "huber is a function | values of losses"),
    "a difference": (lambda: 1 - huber, "huber is a function | values of losses"),
    "a quotient": (lambda: huber / 2, "huber is a function | values of losses"),
    "the negative": (lambda: -huber, "huber is a function | values of losses"),
    **{
        f"a partial with {came}": (functools.partial(jaxloss.reduce, partial), f"a partial may bind options | {came}")
        for came, partial in {
            "array 1": functools.partial(huber, ROWS),
            "'target'": functools.partial(huber, target=ROWS),
            "'where'": functools.partial(huber, where=True),
            "'weights'": functools.partial(huber, weights=2.0, delta=2.0),
            "'dleta'": functools.partial(huber, dleta=2.0),
            "'delta'": functools.partial(squared, delta=2.0),
        }.items()
    },
    **{
        f"finish of {tally!r}": (functools.partial(huber.finish, tally), f"a Tally, got {type(tally).__name__}; add up")
        for tally in (sum([]), 1.0, (1.0, 2.0), [], None, huber)
    },
}


@table(MADE_OF)
def test_what_losses_are_made_of(row):
    call, parts = row
    with refused(TypeError, *parts.split(" | ")):
        call()


STEPS = {
    **{
        f"how={how!r}": (functools.partial(jaxloss.reduce, huber, how), "'mean', 'sum', 'none' | callable of a Tally")
        for how in ["avg", "Mean", "", 1, True, ["mean"], np.array(["mean", "sum"]), huber]
    },
    **{
        f"axis={axis!r}": (functools.partial(jaxloss.reduce, huber, axis=axis), f"axis must be an int | {axis!r}")
        for axis in [1.0, "last", (0, "a"), (0, 1.0), True, np.float64(1), object]
    },
    **{
        f"axis after {last}": (
            functools.partial(jaxloss.reduce, jaxloss.reduce(huber, last), axis=-1),
            "axis=-1 | last",
        )
        for last in ["mean", "sum", "none", abs]
    },
    **{
        f"axis with {how}": (functools.partial(jaxloss.reduce, huber, how, axis=-1), "axis=-1 | 'mean' or 'sum' | last")
        for how in ["none", abs]
    },
    "finish of values": (
        functools.partial(jaxloss.reduce(huber, "none").finish, jaxloss.Tally(1, 1)),
        "'none' | finish",
    ),
}


@table(STEPS)
def test_steps(row):
    call, parts = row
    with refused(ValueError, *parts.split(" | ")):
        call()


@pytest.mark.parametrize("axis", [np.int64(-1), [-1], (np.int32(1),)], ids=repr)
def test_axis_that_is_some_integer(axis):
    assert jaxloss.reduce(huber, axis=axis)(ROWS, ROWS) == 0
    assert isinstance(hash(jaxloss.reduce(huber, axis=axis)), int)


def test_a_tally_is_added_to_tallies_only():
    with pytest.raises(TypeError):
        jaxloss.Tally(1.0, 1.0) + 1.0


# ------------------------------------------------------------------------------------------------- labels out of range

K = 5
LOGITS = np.linspace(0.1, 0.9, 3 * K, dtype=np.float32).reshape(3, K)


ORACLES = {case.name: case.oracle for case in CASES}


def truth(name, row, label):
    return float(ORACLES[name](row.tolist(), label))


OUTSIDE = [
    (np.int8, (-1, K, 127, -128)),
    (np.uint8, (K, 255)),
    (np.int16, (-1, 2**15 - 1)),
    (np.int32, (-1, -100, K, 2**31 - 1, -(2**31))),
    (np.uint32, (K, 2**31, 2**32 - 1)),
    (np.int64, (-1, 2**31, 2**32 + 1, -(2**32) + 1, 2**63 - 1, -(2**63))),
    (np.uint64, (2**32 + 1, 2**64 - 1)),
]
outside = pytest.mark.parametrize(
    ("dtype", "label"),
    [pytest.param(d, label, id=f"{d.__name__}-{label}") for d, labels in OUTSIDE for label in labels],
)


@functools.cache
def labelled(name):
    """Value of each item, and value and gradient with a mask, compiled once for each dtype of the labels."""
    loss = catalogue[name]
    return (
        jax.jit(jaxloss.reduce(loss, "none")),
        jax.jit(lambda x, y, mask: jax.value_and_grad(loss)(x, y, where=mask)),
    )


def check_label_outside(name, labels, unreduced, masked):
    expected = np.array([truth(name, LOGITS[i], label) for i, label in [(0, 1), (2, K - 1)]])
    values = unreduced(LOGITS, labels)
    np.testing.assert_allclose(values, [expected[0], np.nan, expected[1]], rtol=1e-6)
    value, gradient = masked(LOGITS, labels, np.array([True, False, True]))
    np.testing.assert_allclose(value, np.mean(expected), rtol=1e-6)
    np.testing.assert_array_equal(gradient[1], np.zeros(K))
    assert np.all(np.isfinite(gradient))


@outside
@pytest.mark.parametrize("name", WITH_LABELS)
@pytest.mark.sampled(5)
def test_a_label_outside_is_nan_and_masked_it_does_no_harm(name, dtype, label):
    labels = np.array([1, label, K - 1], dtype)
    loss = catalogue[name]
    if np.dtype(dtype).itemsize == 8:  # jit would wrap them before the loss sees them
        check_label_outside(
            name,
            labels,
            lambda x, y: jaxloss.reduce(loss, "none")(x, y),
            lambda x, y, m: jax.value_and_grad(loss)(x, y, where=m),
        )
    else:
        check_label_outside(name, labels, *labelled(name))


@pytest.mark.parametrize("label", [-1, K, 2**32 + 1, -(2**32) + 1])
@pytest.mark.parametrize("name", WITH_LABELS)
@pytest.mark.sampled(2)
def test_a_label_outside_in_64_bits(name, label):
    with jax.enable_x64(True):
        check_label_outside(name, jnp.array([1, label, K - 1], jnp.int64), *labelled(name))


@pytest.mark.parametrize("label", [-1, K, 2**32 + 1, 2**70, np.uint64(2**64 - 1), [2**40], np.ulonglong(K)], ids=repr)
def test_a_plain_integer_outside(label):
    assert np.isnan(sparse(LOGITS[0], label))


@pytest.mark.parametrize(("dtype", "label"), [(np.int8, 100), (np.uint8, 255), (np.int8, 127)])
@pytest.mark.parametrize("name", WITH_LABELS)
def test_more_classes_than_the_dtype_of_the_labels_can_count(name, dtype, label):
    row = np.linspace(0.1, 0.9, 300, dtype=np.float32)
    value = jax.jit(catalogue[name])(row, np.array(label, dtype))
    np.testing.assert_allclose(value, truth(name, row, label), rtol=1e-6)

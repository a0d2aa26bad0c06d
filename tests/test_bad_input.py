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


def _takes_its_arrays_alone(loss):
    parameters = inspect.signature(loss).parameters.values()
    return not any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)


catalogue = {name: loss for name, loss in jaxloss.catalogue.items() if _takes_its_arrays_alone(loss)}
ELEMENTWISE = [
    name for name, loss in catalogue.items() if loss.signature is None and loss.__wrapped__.__code__.co_argcount == 2
]
# Of one core axis; those of several have tests of their own.
SIGNED = [
    name
    for name, loss in catalogue.items()
    if loss.signature is not None and len(set(re.findall(r"\w", loss.signature))) == 1
]

LEADING, CLASSES = 4, 3
ROWS = np.full((LEADING, CLASSES), 0.5, np.float32)
ONES = np.ones(LEADING, np.float32)
LABELS = np.zeros(LEADING, np.int32)

huber = jaxloss.huber
sparse = jaxloss.softmax_cross_entropy_with_integer_labels
soft = jaxloss.softmax_cross_entropy


@contextlib.contextmanager
def refused(error, *parts):
    """Of exactly this type, in one sentence that has all the parts."""
    with pytest.raises(error) as caught:
        yield
    message = str(caught.value)
    kinds = error if isinstance(error, tuple) else (error,)
    assert caught.type in kinds, f"{caught.type.__name__}: {message}"
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
WITH_LABELS = [name for name in SIGNED if "labels" in array_names(catalogue[name]) and cores(catalogue[name])[0]]
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
@pytest.mark.parametrize(
    ("one", "other", "fix"),
    [
        ((1, 4), (4,), "prediction.squeeze(-2)"),
        ((4, 3), (4, 1, 3), "target.squeeze(-2)"),
        ((4, 1), (1, 4), "nothing is broadcast"),
        ((1,), (4,), "nothing is broadcast"),
        ((4, 3), (3,), "nothing is broadcast"),
        ((4, 3), (4,), "nothing is broadcast"),
        ((4,), (5,), "nothing is broadcast"),
    ],
    ids=str,
)
def test_nothing_is_broadcast(one, other, fix, run):
    with refused(ValueError, "huber: prediction and target ", f"{one} and {other}", fix):
        run(huber, np.ones(one, np.float32), np.ones(other, np.float32))


@everywhere
@pytest.mark.parametrize("name", SIGNED)
def test_leading_axes_differ(name, run):
    loss = catalogue[name]
    arrays = arrays_of(loss)
    arrays[1] = np.concatenate([arrays[1], arrays[1][:1]])
    first, second, *_ = array_names(loss)
    shapes = f"{arrays[0].shape} and {arrays[1].shape}"
    with refused(ValueError, f"{name}: ", first, second, "leading axes", shapes, "nothing is broadcast"):
        run(loss, *arrays)


@everywhere
@pytest.mark.parametrize("name", [name for name in SIGNED if all(cores(catalogue[name])[:2])])
def test_core_axes_differ(name, run):
    loss = catalogue[name]
    arrays = arrays_of(loss)
    arrays[1] = arrays[1][..., :-1]
    first, second, *_ = array_names(loss)
    axis = repr(cores(loss)[0][0])
    with refused(ValueError, f"{name}: ", f"{second} has 2", axis, "(4, 2)", f"{first} has 3", "(4, 3)"):
        run(loss, *arrays)


@pytest.mark.parametrize("name", [name for name in SIGNED if cores(catalogue[name])[0]])
def test_core_axes_missing(name):
    loss = catalogue[name]
    arrays = arrays_of(loss)
    with refused(ValueError, f"{name}: {array_names(loss)[0]} ", f"({cores(loss)[0][0]})", "shape ()"):
        loss(0.5, *arrays[1:])


@everywhere
def test_class_mask_of_another_length(run):
    with refused(ValueError, "softmax_cross_entropy: class_mask has 4", "(4,)", "logits has 3", "(4, 3)"):
        run(soft, ROWS, ROWS, ONES > 0)


@everywhere
def test_class_mask_of_other_items(run):
    with refused(ValueError, "softmax_cross_entropy: logits and class_mask ", "(4, 3) and (2, 3)"):
        run(soft, ROWS, ROWS, ROWS[:2] > 0)


@everywhere
@pytest.mark.parametrize("length", [2, 4])
def test_array_option_of_another_length(length, run):
    def call(logits, targets, weight):
        return jaxloss.sigmoid_binary_cross_entropy(logits, targets, positive_weight=weight)

    with refused(ValueError, "sigmoid_binary_cross_entropy: positive_weight ", "trailing", f"({length},)", "(4, 3)"):
        run(call, ROWS, ROWS, np.ones(length, np.float32))


# -------------------------------------------------------------------------------------------------------------- dtypes


@everywhere
@pytest.mark.parametrize("name", WITH_LABELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, bool])
def test_labels_that_are_no_integers(name, dtype, run):
    loss = catalogue[name]
    parts = "labels must be integers", np.dtype(dtype).name, "labels.astype(int)"
    with refused(TypeError, f"{name}: ", *parts):
        run(loss, ROWS, LABELS.astype(dtype))


@everywhere
@pytest.mark.parametrize("name", WITH_LABELS)
def test_one_hot_where_labels_are_due(name, run):
    loss = catalogue[name]
    with refused(TypeError, f"{name}: ", "labels must be integers", "float32", "(4, 3)", "jnp.argmax(labels, -1)"):
        run(loss, ROWS, ROWS)
    with refused(ValueError, f"{name}: ", "(4, 3) and (4, 3)", "one-hot", "jnp.argmax(labels, -1)"):
        run(loss, ROWS, ROWS.astype(np.int32))


@everywhere
@pytest.mark.parametrize("name", WITH_TARGETS)
def test_labels_where_one_hot_is_due(name, run):
    loss = catalogue[name]
    fix = "integer labels", "jax.nn.one_hot(targets, k)"
    with refused(ValueError, f"{name}: targets ", "(4,)", "(4, 3)", *fix):
        run(loss, ROWS, LABELS)
    with refused(ValueError, f"{name}: ", "targets", "(2, 4, 3) and (2, 4)", *fix):
        run(loss, np.stack([ROWS, ROWS]), np.stack([LABELS, LABELS]))


@everywhere
@pytest.mark.parametrize("loss", [soft, sparse], ids=lambda loss: loss.__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_class_mask_that_is_no_boolean(loss, dtype, run):
    target = LABELS if loss is sparse else ROWS
    with refused(TypeError, f"{loss.__name__}: class_mask ", "booleans", np.dtype(dtype).name, "class_mask != 0"):
        run(loss, ROWS, target, np.ones(3, dtype))


@everywhere
def test_complex_arrays(run):
    with refused(TypeError, "huber: prediction ", "real", "complex64"):
        run(huber, ONES.astype(np.complex64), ONES)
    with refused(TypeError, "huber: target ", "real", "complex64"):
        run(huber, ONES, ONES.astype(np.complex64))


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
}
ARGUMENTS = ("prediction", "target", "labels", "class_mask", "weights", "where")
LEFT_OUT_BY_NONE = ("class_mask", "weights", "where")


@pytest.mark.parametrize(
    ("argument", "kind"),
    [(a, kind) for a in ARGUMENTS for kind in NO_ARRAYS if not (kind == "None" and a in LEFT_OUT_BY_NONE)],
)
def test_what_is_no_array(argument, kind):
    value, came = NO_ARRAYS[kind]
    loss = huber if argument in ("prediction", "target") else sparse
    arrays = dict(zip(array_names(loss), arrays_of(loss), strict=True)) | {argument: value}
    with refused(TypeError, f"{loss.__name__}: {argument} must be ", came):
        loss(**arrays)


def test_a_random_key_is_no_number():
    with refused(TypeError, "huber: prediction ", "key"):
        huber(jax.random.split(jax.random.key(0), LEADING), ONES)


# ----------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda: huber(ONES, ONES, dleta=2.0), ("huber has no argument 'dleta'", "did you mean 'delta'?")),
        (lambda: huber(ONES, ONES, weight=ONES), ("huber has no argument 'weight'", "did you mean 'weights'?")),
        (lambda: huber(ONES, ONES, were=ONES), ("huber has no argument 'were'", "did you mean 'where'?")),
        (lambda: sparse(ROWS, label=LABELS), ("has no argument 'label'", "did you mean 'labels'?")),
        (
            lambda: huber(ONES, ONES, from_logits=True),
            ("huber has no argument 'from_logits'", "prediction, target, delta, where, weights."),
        ),
        (lambda: huber(ONES, ONES, 2.0), ("huber takes 2 arrays", "options by name (delta)", "3 positional")),
        (lambda: jaxloss.squared_error(ONES, ONES, ONES), ("squared_error takes 2 arrays", "3 positional")),
        (lambda: soft(ROWS, ROWS, None, 0.1), ("softmax_cross_entropy takes 3 arrays", "label_smoothing", "4 posit")),
        (lambda: huber(ONES), ("huber: ", "missing", "'target'")),
        (lambda: huber(), ("huber: ", "missing", "'prediction'")),
        (lambda: huber(target=ONES), ("huber: ", "missing", "'prediction'")),
        (lambda: huber(ONES, ONES, prediction=ONES), ("huber: ", "multiple", "'prediction'")),
        (lambda: huber(ONES, ONES, axis=-1), ("huber has no argument 'axis'",)),
        (lambda: huber.tally(ONES, ONES, dleta=2.0), ("huber has no argument 'dleta'", "did you mean 'delta'?")),
        (
            lambda: jaxloss.reduce(huber, "sum")(ONES, ONES, dleta=2.0),
            ("huber has no argument 'dleta'", "did you mean 'delta'?"),
        ),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_arguments(call, parts):
    with refused(TypeError, *parts):
        call()


@pytest.mark.parametrize("transform", [jax.jit, jax.vmap, jax.grad], ids=lambda transform: transform.__name__)
def test_a_misspelt_option_under_a_transformation(transform):
    with refused(TypeError, "huber has no argument 'dleta'", "did you mean 'delta'?"):
        transform(lambda p: huber(p, ONES, dleta=2.0) if p.ndim else huber(p, 1.0, dleta=2.0))(ONES)


# ------------------------------------------------------------------------------------------------------------- options

NAN = float("nan")
OUT_OF_RANGE = [
    ("huber", "delta", "> 0", (0, -1, NAN)),
    ("softmax_cross_entropy", "label_smoothing", ">= 0 and <= 1", (-0.1, 1.1, 2, NAN)),
    ("softmax_cross_entropy_with_integer_labels", "label_smoothing", ">= 0 and <= 1", (-0.1, 1.1)),
    ("sigmoid_binary_cross_entropy", "label_smoothing", ">= 0 and <= 1", (-0.1, 1.1)),
    ("softmax_cross_entropy", "z_loss", ">= 0", (-1e-4,)),
    ("softmax_cross_entropy_with_integer_labels", "z_loss", ">= 0", (-1e-4,)),
    ("sigmoid_binary_cross_entropy", "positive_weight", ">= 0", (-1.0,)),
    ("binary_focal", "gamma", ">= 0", (-1, -0.5, NAN)),
    ("binary_focal", "alpha", ">= 0 and <= 1", (-0.1, 1.5)),
    ("triplet", "margin", ">= 0", (-1, -0.2)),
    ("triplet_from_distances", "margin", ">= 0", (-1, -0.2)),
]
out_of_range = pytest.mark.parametrize(
    ("name", "option", "expected", "value"),
    [
        pytest.param(name, option, expected, value, id=f"{name}-{option}-{value}")
        for name, option, expected, values in OUT_OF_RANGE
        for value in values
    ],
)


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


@pytest.mark.parametrize(("name", "option"), RANGED)
def test_every_number_out_of_range_is_refused(name, option):
    loss = jaxloss.catalogue[name]
    parameters = inspect.signature(loss).parameters.values()
    required = {p.name: ONES[:CLASSES] for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
    for number in itertools.chain.from_iterable(map(numbers, RANGED[name, option])):
        with refused(ValueError, f"{name}: {option} must be "):
            loss(*arrays_of(loss), **required | {option: number})


def test_many_options_have_a_range():
    assert {("student_t_nll", "degrees_of_freedom"), ("wing", "curvature"), ("ldam", "scale")} <= set(RANGED)


@out_of_range
def test_option_out_of_range(name, option, expected, value):
    loss = catalogue[name]
    arrays = arrays_of(loss)
    for number in numbers(value):
        with refused(ValueError, f"{name}: {option} must be {expected}, got {number!r}."):
            loss(*arrays, **{option: number})
        bound = jaxloss.reduce(functools.partial(loss, **{option: number}), "sum")
        with refused(ValueError, f"{name}: {option} must be {expected}, got {number!r}."):
            bound(*arrays)


@out_of_range
def test_option_out_of_range_while_tracing(name, option, expected, value):
    loss = catalogue[name]
    with refused(ValueError, f"{name}: {option} must be {expected}"):
        jax.jit(lambda *arrays: loss(*arrays, **{option: value}))(*arrays_of(loss))


@out_of_range
def test_a_traced_option_is_never_checked(name, option, expected, value):
    del expected
    loss = catalogue[name]

    def call(option_value, *arrays):
        return loss(*arrays, **{option: option_value})

    traced = jax.eval_shape(jax.jit(jax.value_and_grad(call)), jnp.float32(value), *arrays_of(loss))
    assert [leaf.shape for leaf in traced] == [(), ()]


def test_a_concrete_array_as_option_is_never_checked():
    # Below 0 the parabola is never near: delta (|e| - delta / 2) at e = 2 is -2.5.
    for delta in (jnp.float32(-1.0), np.array([-1.0])):
        assert huber(np.float32([2.0]), np.float32([0.0]), delta=delta) == -2.5


@pytest.mark.parametrize(
    "value",
    ["1", None, 1j, np.complex64(1), [1.0], (1.0,), {}, object(), abs],
    ids=["str", "None", "complex", "complex64", "list", "tuple", "dict", "object", "function"],
)
@pytest.mark.parametrize(("name", "option"), [("huber", "delta"), ("softmax_cross_entropy", "label_smoothing")])
def test_option_that_is_no_number(name, option, value):
    with refused(TypeError, f"{name}: {option} must be a number"):
        catalogue[name](*arrays_of(catalogue[name]), **{option: value})


def test_a_list_as_array_option_names_the_fix():
    with refused(TypeError, "sigmoid_binary_cross_entropy: positive_weight ", "got [1.0, 2.0, 3.0]", "array"):
        jaxloss.sigmoid_binary_cross_entropy(ROWS, ROWS, positive_weight=[1.0, 2.0, 3.0])


@pytest.mark.parametrize("distance", ["l2", "L2", None, 2])
def test_unknown_distance(distance):
    known = "euclidean, squared_euclidean, cosine"
    with refused(ValueError, "triplet: distance must be one of ", known, "function", f"got {distance!r}"):
        jaxloss.triplet(ROWS, ROWS, ROWS, distance=distance)


def test_distance_that_is_a_list():
    with refused((TypeError, ValueError), "triplet: distance must be one of ", "['euclidean']"):
        jaxloss.triplet(ROWS, ROWS, ROWS, distance=["euclidean"])


# --------------------------------------------------------------------------------------------------- where and weights


@everywhere
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8])
def test_where_that_is_no_boolean(dtype, run):
    with refused(TypeError, "huber: where must be booleans", np.dtype(dtype).name, "mask != 0", "weights="):
        run(lambda p, t, where: huber(p, t, where=where), ROWS, ROWS, np.ones(LEADING, dtype))


@pytest.mark.parametrize("where", [1, 1.0, [1, 0, 1, 1], np.float64(1)], ids=str)
def test_where_of_plain_numbers(where):
    with refused(TypeError, "huber: where must be booleans", "mask != 0", "weights="):
        huber(ONES, ONES, where=where)


@everywhere
@pytest.mark.parametrize("argument", ["where", "weights"])
@pytest.mark.parametrize("shape", [(3,), (1, 3), (4, 1), (4, 3, 1), (5,), (12,)], ids=str)
def test_where_and_weights_are_not_aligned_with_trailing_axes(argument, shape, run):
    array = np.ones(shape, bool if argument == "where" else np.float32)
    with refused(ValueError, f"huber: {argument} ", "(4, 3)", "leading part", f"{shape}", "trailing"):
        run(lambda p, t, a: huber(p, t, **{argument: a}), ROWS, ROWS, array)


@pytest.mark.parametrize("argument", ["where", "weights"])
def test_where_and_weights_of_classes(argument):
    array = np.ones((4, 3), bool if argument == "where" else np.float32)
    name = "softmax_cross_entropy_with_integer_labels"
    with refused(ValueError, f"{name}: {argument} ", "values (4,)", "(4, 3)"):
        sparse(ROWS, LABELS, **{argument: array})


@pytest.mark.parametrize("shape", [(), (4,), (4, 3)], ids=str)
def test_where_and_weights_of_a_leading_part(shape):
    rng = np.random.default_rng(0)
    prediction = rng.normal(size=(4, 3)).astype(np.float32)
    where, weights = rng.random(shape) < 0.6, rng.uniform(0.5, 2, shape).astype(np.float32)
    where = np.asarray(True) if shape == () else where
    value = jaxloss.squared_error(prediction, np.zeros_like(prediction), where=where, weights=weights)
    full = (where * weights).reshape(shape + (1,) * (2 - len(shape))) * np.ones((4, 3))
    np.testing.assert_allclose(value, np.sum(full * prediction.astype(float) ** 2) / np.sum(full), rtol=1e-6)


@pytest.mark.parametrize("weights", [-1, -0.5, NAN, np.float32(-1), np.float64(-0.5), np.int64(-1)], ids=repr)
def test_negative_weights(weights):
    with refused(ValueError, f"huber: weights must be >= 0, got {weights!r}."):
        huber(ONES, ONES, weights=weights)
    with refused(ValueError, "huber: weights must be >= 0"):
        jax.jit(lambda p: huber(p, ONES, weights=weights))(ONES)


# --------------------------------------------------------------------------------------------------------------- terms


def mean_of_items(prediction, target):
    return jnp.mean((prediction - target) ** 2)


def mean_of_features(prediction, target):
    return jnp.mean((prediction - target) ** 2, axis=-1)


@everywhere
def test_a_term_that_takes_the_mean(run):
    loss = jaxloss.custom_loss(mean_of_items)
    with refused(ValueError, "mean_of_items: ", "(4,)", "got ()", "prediction (4,)", "reduce", "signature="):
        run(loss, ONES, ONES)


@everywhere
def test_a_term_that_returns_another_shape(run):
    loss = jaxloss.custom_loss(mean_of_features)
    with refused(ValueError, "mean_of_features: ", "(4, 3)", "got (4,)", "reduce", "signature="):
        run(loss, ROWS, ROWS)


@everywhere
def test_a_term_that_does_not_keep_its_signature(run):
    loss = jaxloss.custom_loss(lambda u, v: u - v, signature="(d),(d)->()")
    with refused(ValueError, "<lambda>: ", "'(d),(d)->()'", "shape ()", "got (3,)"):
        run(loss, ROWS, ROWS)


@pytest.mark.parametrize("signature", [None, "(d),(d)->(d)"])
@pytest.mark.parametrize(
    ("returned", "came"),
    [
        (lambda e: None, "NoneType"),  # noqa: ARG005
        (lambda e: (e, e), "tuple"),
        (lambda e: (e, jnp.sum(e)), "tuple"),
        (lambda e: [e], "list"),
        (lambda e: {"value": e}, "dict"),
        (lambda e: "low", "str"),  # noqa: ARG005
    ],
    ids=["None", "pair", "value-and-aux", "list", "dict", "str"],
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
@pytest.mark.parametrize("make", [jaxloss.custom_loss, jaxloss.reduce], ids=["custom_loss", "reduce"])
def test_the_parameters_of_a_term(make, term, parts):
    with refused(TypeError, term.__name__, *parts):
        make(term)


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
    with refused(ValueError, *parts):
        jaxloss.custom_loss(two_arrays, signature=signature)
    with refused(ValueError, *parts):
        jaxloss.custom_loss(signature=signature)(two_arrays)


@pytest.mark.parametrize("signature", [3, ("(k)", "(k)")], ids=["int", "tuple"])
def test_a_signature_that_is_no_text(signature):
    with refused(TypeError, "signature ", repr(signature)):
        jaxloss.custom_loss(two_arrays, signature=signature)


@pytest.mark.parametrize(
    ("value", "came"), [(3, "int"), ("huber", "str"), (ONES, "ndarray")], ids=["int", "str", "array"]
)
def test_custom_loss_of_no_function(value, came):
    with refused(TypeError, "custom_loss takes a function", came):
        jaxloss.custom_loss(value)


@pytest.mark.parametrize("value", [3, "huber", ONES], ids=["int", "str", "array"])
def test_reduce_of_no_function(value):
    with refused(TypeError, "takes a function", type(value).__name__):
        jaxloss.reduce(value, "sum")


def test_custom_loss_of_a_loss():
    with refused(TypeError, "custom_loss ", "jaxloss.huber", "reduce"):
        jaxloss.custom_loss(huber)


# -------------------------------------------------------------------------------------------------- partial and reduce


@pytest.mark.parametrize(
    ("partial", "came"),
    [
        (functools.partial(huber, ROWS), ""),
        (functools.partial(huber, target=ROWS), "'target'"),
        (functools.partial(huber, where=True), "'where'"),
        (functools.partial(huber, weights=2.0, delta=2.0), "'weights'"),
        (functools.partial(huber, dleta=2.0), "'dleta'"),
        (functools.partial(jaxloss.squared_error, delta=2.0), "'delta'"),
    ],
    ids=["positional", "array", "where", "weights", "misspelt", "no-options"],
)
def test_what_a_partial_may_not_bind(partial, came):
    with refused(TypeError, f"{partial.func.__name__}: a partial may bind options", came):
        jaxloss.reduce(partial, "sum")


@pytest.mark.parametrize("how", ["avg", "Mean", "", 1, True, ["mean"], np.array(["mean", "sum"]), huber], ids=repr)
def test_unknown_how(how):
    with refused(ValueError, "reduce: how ", "'mean', 'sum', 'none'", "callable of a Tally"):
        jaxloss.reduce(huber, how)


@pytest.mark.parametrize("last", ["mean", "sum", "none", abs], ids=str)
def test_an_inner_step_after_the_last(last):
    with refused(ValueError, "reduce: axis=-1 ", "last step", "jaxloss.huber"):
        jaxloss.reduce(jaxloss.reduce(huber, last), axis=-1)


@pytest.mark.parametrize("how", ["none", abs], ids=str)
def test_an_inner_step_that_can_only_be_the_last(how):
    with refused(ValueError, "reduce: axis=-1 ", "'mean' or 'sum'", "last"):
        jaxloss.reduce(huber, how, axis=-1)


@pytest.mark.parametrize("axis", [2, -3, (0, 2), (5,)], ids=str)
@everywhere
def test_axis_out_of_range(axis, run):
    with refused(
        ValueError, "huber: ", "axis=", str(axis).strip("()").split(",")[-1].strip(), "out of range", "2 axes"
    ):
        run(jaxloss.reduce(huber, axis=axis), ROWS, ROWS)


def test_axis_out_of_range_counts_what_is_left():
    loss = jaxloss.reduce(jaxloss.reduce(huber, axis=-1), axis=1)
    with refused(ValueError, "huber: ", "axis=(1,)", "out of range", "1 axes"):
        loss(ROWS, ROWS)


@pytest.mark.parametrize("axis", [(0, 0), (1, -1), (-2, 0)], ids=str)
def test_axis_twice(axis):
    with refused(ValueError, "axis", str(axis), "twice"):
        jaxloss.reduce(huber, axis=axis)(ROWS, ROWS)


@pytest.mark.parametrize("axis", [1.0, "last", (0, "a"), (0, 1.0), True, np.float64(1), object], ids=repr)
def test_axis_that_is_no_integer(axis):
    with refused((TypeError, ValueError), "reduce: axis must be an int or a tuple of ints", repr(axis)):
        jaxloss.reduce(huber, axis=axis)


@pytest.mark.parametrize("axis", [np.int64(-1), [-1], (np.int32(1),)], ids=repr)
def test_axis_that_is_some_integer(axis):
    assert jaxloss.reduce(huber, axis=axis)(ROWS, ROWS) == 0
    assert isinstance(hash(jaxloss.reduce(huber, axis=axis)), int)


def test_a_last_step_that_is_no_scalar():
    with refused(ValueError, "huber: ", "scalar", "(2,)"):
        jaxloss.reduce(huber, lambda tally: jnp.stack([tally.mean, tally.mean]))(ONES, ONES)


# --------------------------------------------------------------------------------------------------------------- tally


@pytest.mark.parametrize("tally", [0, 1.0, (1.0, 2.0), [], None, huber], ids=repr)
def test_finish_of_what_is_no_tally(tally):
    with refused(TypeError, "huber: finish takes a Tally", type(tally).__name__):
        huber.finish(tally)


def test_finish_of_an_empty_sum():
    with refused(TypeError, "huber: finish takes a Tally", "int", "at least one"):
        huber.finish(sum([]))


def test_finish_of_unreduced_values():
    with refused(ValueError, "huber: ", "'none'", "finish", "reduce"):
        jaxloss.reduce(huber, "none").finish(jaxloss.Tally(1.0, 1.0))


@everywhere
@pytest.mark.parametrize("axis", [0, -2, (0, 1)], ids=str)
def test_tally_of_groups_that_cross_the_split(axis, run):
    with refused(ValueError, "huber: ", "inner step", "first axis", "(4, 3)"):
        run(jaxloss.reduce(huber, axis=axis).tally, ROWS, ROWS)


@everywhere
def test_tally_of_groups_that_cross_the_split_by_a_later_step(run):
    with refused(ValueError, "huber: ", "inner step", "first axis"):
        run(jaxloss.reduce(jaxloss.reduce(huber, axis=-1), "sum", axis=-1).tally, ROWS, ROWS)


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


@pytest.mark.parametrize("label", [2**32 + 1, 2**70, -1, K])
def test_a_plain_integer_outside(label):
    if label == 2**70:
        with refused(TypeError, "softmax_cross_entropy_with_integer_labels: labels "):
            sparse(LOGITS[0], label)
    else:
        assert np.isnan(sparse(LOGITS[0], label))


@pytest.mark.parametrize(("dtype", "label"), [(np.int8, 100), (np.uint8, 255), (np.int8, 127)])
@pytest.mark.parametrize("name", WITH_LABELS)
def test_more_classes_than_the_dtype_of_the_labels_can_count(name, dtype, label):
    row = np.linspace(0.1, 0.9, 300, dtype=np.float32)
    value = jax.jit(catalogue[name])(row, np.array(label, dtype))
    np.testing.assert_allclose(value, truth(name, row, label), rtol=1e-6)


def test_integer_labels_are_not_taken_for_a_shared_distribution_when_there_are_as_many_items_as_classes():
    logits, labels = np.zeros((3, 3), np.float32), np.array([0, 1, 2])
    with refused(
        ValueError, "softmax_cross_entropy: targets must be real numbers to be shared", "jax.nn.one_hot(targets, k)"
    ):
        soft(logits, labels)
    assert soft(logits, np.array([0.0, 1.0, 0.0], np.float32)) > 1


def test_a_truth_value_is_no_number():
    with refused(TypeError, "huber: delta must be a number", "True"):
        huber(ONES, ONES, delta=True)

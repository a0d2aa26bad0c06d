"""An argument that a loss does not have, or an option out of its range, is refused in one sentence with the fix."""

import functools
import inspect
import itertools
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import (
    CLASSES,
    LABELS,
    NAN,
    ONES,
    ROWS,
    array_names,
    arrays_of,
    binary,
    catalogue,
    huber,
    refused,
    soft,
    sparse,
    squared,
    table,
    term,
    zeros,
)

import jaxloss
from jaxloss.types import Interval

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
    (jaxloss.lambda_rank, "k", 10, "called 'top' here."),
    (jaxloss.list_mle, "key", 0, "drawn at random"),
    (jaxloss.ctc, "input_lengths", LABELS, "frame_mask=jnp.arange(t) < input_lengths[:, None]."),
    (jaxloss.ctc, "label_paddings", ROWS, "label_mask=label_paddings == 0."),
    (jaxloss.ctc, "zero_infinity", True, "where= leaves"),
    (jaxloss.cox, "strata", LABELS, "a row of its own, with item_mask"),
    (jaxloss.cox, "durations", ONES, "log_hazards, times, events in this order"),
    (jaxloss.cox, "ties_method", "efron", "called 'ties' here."),
    (jaxloss.grpo, "epsilon_high", 0.28, "called 'clip_high' here."),
    (jaxloss.grpo, "completion_mask", ROWS, "where=completion_mask != 0."),
    (jaxloss.diffusion, "snr_gamma", 5.0, "weighting='min_snr', gamma=5.0."),
    (jaxloss.distillation, "T", 2.0, "called 'temperature' here."),
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
    (name, option): [value for mark in hint.__metadata__ if isinstance(mark, Interval) for value in outside(mark)]
    for name, loss in jaxloss.catalogue.items()
    for option, hint in typing.get_type_hints(loss.__wrapped__, include_extras=True).items()
    if any(isinstance(mark, Interval) for mark in getattr(hint, "__metadata__", ()))
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


OF_SMALL_ITEMS = {
    "ssim": {"window_size": 3},
    "ms_ssim": {"window_size": 3, "scale_weights": (1.0,)},
    "multi_resolution_stft": {"fft_sizes": (4,), "hop_sizes": (1,), "window_sizes": (4,)},
}


@pytest.mark.parametrize(("name", "option"), [(name, option) for name, option in RANGED if option != "memory"])
@pytest.mark.sampled(4)
def test_an_array_out_of_range_is_nan(name, option):
    loss = jaxloss.catalogue[name]
    others = required(loss) | OF_SMALL_ITEMS.get(name, {})
    if name == "linear_softmax_cross_entropy":
        others["kernel"] = zeros(CLASSES, CLASSES)
    value = jnp.float32(RANGED[name, option][-1])
    cost = jax.jit(lambda value, *arrays: loss(*arrays, **others | {option: value}))
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

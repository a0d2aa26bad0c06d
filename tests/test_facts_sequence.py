"""What the losses of sequences are known to be."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss
from jaxloss import reduce

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(6, 12, 5)).astype(np.float32)
LABELS = RNG.integers(1, 5, (6, 4))


def value_and_slope(loss, *arrays, argnums=0):
    return jax.jit(jax.value_and_grad(loss, argnums))(*arrays)


def values(loss, *arrays, **options):
    return np.asarray(reduce(loss, "none")(*arrays, **options))


# ----------------------------------------------------------------------------------------------------------------- ctc


@pytest.mark.sweep
def test_ctc_is_that_of_optax():
    frames, labels = np.arange(12) < RNG.integers(9, 13, (6, 1)), np.arange(4) < RNG.integers(1, 5, (6, 1))

    def plain(logits):
        with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
            return optax.ctc_loss(logits, 1.0 - frames, LABELS, 1.0 - labels).mean()

    value, slope = value_and_slope(jaxloss.ctc, LOGITS, LABELS, frames, labels)
    expected, its_slope = value_and_slope(plain, LOGITS)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(slope, its_slope, atol=1e-5)


def test_the_probabilities_of_all_label_sequences_add_up():
    all_labels = [labels for n in range(5) for labels in itertools.product([0, 2], repeat=n)]
    labels = np.array([[*labels, *[9] * (4 - len(labels))] for labels in all_labels])
    logits = np.broadcast_to(RNG.normal(size=(4, 3)).astype(np.float32), (len(labels), 4, 3))
    nll = values(jaxloss.ctc, logits, labels, None, labels != 9, blank=1)
    np.testing.assert_allclose(np.exp(-nll).sum(), 1, rtol=1e-6)


def test_ctc_without_an_alignment_is_infinite_and_has_no_gradient():
    frames, labels = np.arange(12) < np.array([[5], [6], [12]]), np.array([[1, 1, 2, 2]] * 3)
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(jaxloss.ctc)))(LOGITS[:3], labels, frames)
    np.testing.assert_array_equal(np.isinf(value), [True, False, False])
    assert np.all(slope[0] == 0)
    np.testing.assert_allclose(slope.sum(-1), 0, atol=1e-6)  # as in each frame


def test_ctc_without_labels_is_the_cost_of_blanks():
    blanks = -jax.nn.log_softmax(LOGITS[0])[:, 0].sum()
    np.testing.assert_allclose(jaxloss.ctc(LOGITS[0], np.zeros(0, int)), blanks, rtol=1e-6)
    masked = jaxloss.ctc(LOGITS[0], np.array([-1, 7]), None, np.zeros(2, bool))
    np.testing.assert_allclose(masked, blanks, rtol=1e-6)


def test_a_label_that_is_the_blank_or_no_class_is_nan():
    labels = np.array([[1, 0], [-1, 1], [1, 5], [1, 4]])
    there = np.array([[True, True]] * 4 + [[True, False], [False, True], [True, False], [True, True]])
    nll = values(jaxloss.ctc, LOGITS[[0] * 8], np.concatenate([labels, labels]), None, there)
    np.testing.assert_array_equal(np.isnan(nll), [True, True, True, False] + [False] * 4)


def test_ctc_is_never_negative():
    sure = np.where(np.arange(3) == np.array([1, 0, 2, 0])[:, None], 50.0, 0.0).astype(np.float32)
    assert 0 <= jaxloss.ctc(sure, np.array([1, 2])) < 1e-6


@pytest.mark.sweep
@pytest.mark.parametrize(("frames", "labels", "allowed"), [(400, 50, 1e-4), (2000, 200, 2e-4), (5000, 400, 5e-4)])
def test_a_long_ctc_keeps_its_digits(frames, labels, allowed):
    rng = np.random.default_rng(0)
    logits, labels = (3 * rng.normal(size=(frames, 32))).astype(np.float32), rng.integers(1, 32, labels)
    value, slope = value_and_slope(jaxloss.ctc, logits, labels)
    with jax.enable_x64(True):
        true, its_slope = value_and_slope(jaxloss.ctc, logits.astype(np.float64), labels)
    np.testing.assert_allclose(value, true, rtol=1e-6)
    np.testing.assert_allclose(slope, its_slope, atol=allowed)


def memory(function, *arrays):
    """The numbers that a program keeps beside what it takes and returns."""
    program = jax.jit(function).lower(*(jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in arrays)).compile()
    return program.memory_analysis().temp_size_in_bytes / 4


def test_memory_of_ctc_is_that_of_its_states_beside_one_array_of_the_logits():
    t, k, n = 512, 8, 200
    arrays = ((t, k), jnp.float32), ((n,), jnp.int32)
    states, rows = t * (2 * n + 1), t * k
    assert memory(jaxloss.ctc, *arrays) < rows + 6 * t + 50 * n
    assert memory(jax.value_and_grad(jaxloss.ctc), *arrays) < states + 2 * rows + 6 * t + 50 * n


# ---------------------------------------------------------------------------------------------------------- transducer


@pytest.mark.parametrize(("frames", "labels"), [(5, 3), (2, 6)])
def test_a_uniform_transducer_counts_its_paths(frames, labels):
    cost = jaxloss.transducer(np.zeros((frames, labels + 1, 4), np.float32), np.ones(labels, int))
    expected = (frames + labels) * np.log(4) - np.log(math.comb(frames - 1 + labels, labels))
    np.testing.assert_allclose(cost, expected, rtol=1e-6)


def test_deleted_frames_and_labels_of_a_transducer():
    logits, frames, labels = RNG.normal(size=(5, 4, 3)).astype(np.float32), RNG.random(5) < 0.7, np.array([1, 0, 1]) > 0
    got = jaxloss.transducer(logits, np.array([1, 9, 2]), frames, labels)
    expected = jaxloss.transducer(logits[frames][:, :3], np.array([1, 2]))
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_transducer_without_labels_is_the_cost_of_blanks():
    blanks = -jax.nn.log_softmax(LOGITS[0])[:, 0].sum()
    np.testing.assert_allclose(jaxloss.transducer(LOGITS[0][:, None], np.zeros(0, int)), blanks, rtol=1e-6)


@pytest.mark.sweep
def test_a_long_transducer_keeps_its_digits():
    logits, labels = 3 * RNG.normal(size=(400, 101, 16)).astype(np.float32), RNG.integers(1, 16, 100)
    value, slope = value_and_slope(jaxloss.transducer, logits, labels)
    with jax.enable_x64(True):
        true, its_slope = value_and_slope(jaxloss.transducer, logits.astype(np.float64), labels)
    np.testing.assert_allclose(value, true, rtol=1e-6)
    np.testing.assert_allclose(slope, its_slope, atol=1e-4)


def test_memory_of_a_transducer_is_that_of_its_cells_beside_the_gradient():
    t, n, k = 64, 31, 64
    arrays = ((t, n + 1, k), jnp.float32), ((n,), jnp.int32)
    cells, logits = t * (n + 1), t * (n + 1) * k
    assert memory(jaxloss.transducer, *arrays) < logits + 20 * cells
    assert memory(jax.value_and_grad(jaxloss.transducer), *arrays) < logits + 20 * cells


def test_networks_far_apart_have_the_cost_of_their_sum():
    acoustic, text = (300 * RNG.normal(size=(n, 5)).astype(np.float32) for n in (4, 3))
    both = (acoustic, text, np.array([1, 4]))
    value, slopes = value_and_slope(jaxloss.additive_transducer, *both, argnums=(0, 1))
    expected, its_slopes = value_and_slope(
        lambda a, b, y: jaxloss.transducer(a[:, None] + b[None], y), *both, argnums=(0, 1)
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    for slope, its_slope in zip(slopes, its_slopes, strict=True):
        np.testing.assert_allclose(slope, its_slope, atol=1e-4)


def test_an_additive_transducer_never_has_the_sums():
    t, n, k = 64, 31, 256
    arrays = ((t, k), jnp.float32), ((n + 1, k), jnp.float32), ((n,), jnp.int32)
    assert memory(jax.value_and_grad(jaxloss.additive_transducer, (0, 1)), *arrays) < 20 * (t * n + (t + n) * k)


# ----------------------------------------------------------------------------------------------------------------- crf


def test_memory_of_crf_is_that_of_its_states():
    t, k = 512, 32
    arrays = ((t, k), jnp.float32), ((t,), jnp.int32), ((k, k), jnp.float32)
    assert memory(jax.value_and_grad(jaxloss.crf, argnums=(0, 2)), *arrays) < 4 * t * k + 20 * (k * k + t)


def test_the_likelihoods_of_all_labels_add_up():
    logits, transitions = RNG.normal(size=(4, 3)).astype(np.float32), RNG.normal(size=(3, 3)).astype(np.float32)
    labels = np.array(list(itertools.product(range(3), repeat=4)))
    nll = values(jaxloss.crf, np.broadcast_to(logits, (81, 4, 3)), labels, transitions)
    np.testing.assert_allclose(np.exp(-nll).sum(), 1, rtol=1e-6)


def test_crf_without_transitions_is_the_cross_entropy_of_each_token():
    labels = RNG.integers(0, 5, (6, 12))
    tokens = reduce(reduce(jaxloss.softmax_cross_entropy_with_integer_labels, "sum", axis=-1))(LOGITS, labels)
    np.testing.assert_allclose(jaxloss.crf(LOGITS, labels, np.zeros((5, 5), np.float32)), tokens, rtol=1e-6)


def test_a_forbidden_transition_is_infinite_and_no_gradient_is_nan():
    transitions = np.zeros((5, 5), np.float32)
    transitions[1, 2] = -np.inf
    value, slopes = value_and_slope(jaxloss.crf, LOGITS[0, :3], np.array([0, 1, 2]), transitions, argnums=(0, 2))
    assert value == np.inf
    assert all(np.all(slope == 0) for slope in slopes)
    value, slopes = value_and_slope(jaxloss.crf, LOGITS[0, :3], np.array([0, 1, 3]), transitions, argnums=(0, 2))
    assert np.isfinite(value)
    assert all(np.all(np.isfinite(slope)) for slope in slopes)
    assert slopes[1][1, 2] == 0


def test_a_sure_sequence_costs_little_and_not_nothing():
    logits = np.array([[22.0, 0.0], [0.0, 22.0]], np.float32)
    value, slope = value_and_slope(jaxloss.crf, logits, np.array([0, 1]), np.zeros((2, 2), np.float32))
    np.testing.assert_allclose(value, 2 * np.log1p(np.exp(-22)), rtol=1e-5)
    np.testing.assert_allclose(slope[0, 0], -np.exp(-22), rtol=1e-5)


# ------------------------------------------------------------------------------------------------------------ soft_dtw


def test_soft_dtw_of_equal_series_has_minus_the_logarithm_of_the_number_of_paths():
    zeros = np.zeros((3, 2), np.float32)
    np.testing.assert_allclose(jaxloss.soft_dtw(zeros, zeros), -np.log(13), rtol=1e-6)
    np.testing.assert_allclose(jaxloss.soft_dtw(zeros, zeros, gamma=0.0), 0)


def test_dynamic_time_warping_has_the_slopes_of_its_path():
    x, y = np.float32([[0.0], [1.0], [3.0]]), np.float32([[0.0], [2.0]])
    value, slopes = value_and_slope(functools.partial(jaxloss.soft_dtw, gamma=0.0), x, y, argnums=(0, 1))
    assert value == 2
    np.testing.assert_array_equal(slopes[0], [[0.0], [0.0], [2.0]])  # 1 is as near to 0 as to 2
    np.testing.assert_array_equal(slopes[1], [[-1.0], [-1.0]])


def test_a_debiased_soft_dtw_is_0_for_equal_series():
    value, slope = value_and_slope(functools.partial(jaxloss.soft_dtw, debiased=True), LOGITS[0], LOGITS[0])
    assert value == 0
    np.testing.assert_allclose(slope, 0, atol=1e-5)


def test_a_narrow_band_still_ends_in_the_last_cell():
    def apart(u, v):
        return jnp.abs(u - v)[0]

    x, y = np.arange(6, dtype=np.float32)[:, None], np.float32([[0.0], [2.5], [5.0]])
    np.testing.assert_allclose(jaxloss.soft_dtw(x, y, distance=apart, bandwidth=0.25), 3.0, rtol=1e-6)
    value, slope = value_and_slope(functools.partial(jaxloss.soft_dtw, bandwidth=0.0), x, y)
    assert value == np.inf
    assert np.all(slope == 0)


def test_memory_of_soft_dtw_is_that_of_its_diagonals():
    n, m, d = 256, 200, 4
    arrays = ((n, d), jnp.float32), ((m, d), jnp.float32)
    points = (n + m) * d
    assert memory(jaxloss.soft_dtw, *arrays) < 20 * (n + m) + 4 * points
    assert memory(jax.value_and_grad(jaxloss.soft_dtw, (0, 1)), *arrays) < (n + m) * n + 30 * (n + m) + 10 * points


ONES, ROWS = np.ones((4, 4), np.float32), np.ones((4, 3), np.float32)
MISTAKES = {
    "blank": (ValueError, lambda: jaxloss.ctc(LOGITS, LABELS, blank=-1), r"ctc: blank must be .* 0 to 4.* blank=4"),
    "lengths": (
        TypeError,
        lambda: jaxloss.ctc(LOGITS, LABELS, np.full(6, 12)),
        r"ctc: frame_mask must be booleans.*arange",
    ),
    "float labels": (TypeError, lambda: jaxloss.ctc(LOGITS, LABELS * 1.0), r"ctc: labels"),
    "time first": (ValueError, lambda: jaxloss.ctc(LOGITS.swapaxes(0, 1), LABELS), r"ctc: .*labels"),
    "reduction": (
        TypeError,
        lambda: jaxloss.ctc(LOGITS, LABELS, reduction="mean"),
        "ctc has no argument 'reduction'; reduce says",
    ),
    "blank_id": (
        TypeError,
        lambda: jaxloss.ctc(LOGITS, LABELS, blank_id=0),
        "ctc has no argument 'blank_id'.* mean 'blank'",
    ),
    "a place for each label": (
        ValueError,
        lambda: jaxloss.transducer(ROWS[None], np.ones(4, int)),
        r"transducer: the axis s must have n \+ 1 = 5 places.* got 4",
    ),
    "blank of torchaudio": (
        ValueError,
        lambda: jaxloss.transducer(ROWS[None], np.ones(3, int), blank=-1),
        r"transducer: blank must be .* 0 to 2.* blank=2",
    ),
    "transitions": (ValueError, lambda: jaxloss.crf(ROWS, np.ones(4, int), ONES), r"crf: .*transitions"),
    "distance": (
        ValueError,
        lambda: jaxloss.soft_dtw(ROWS, ROWS, distance="cityblock"),
        r"soft_dtw: distance must be one of euclidean, .* or a function.* 'cityblock'",
    ),
    "gamma": (ValueError, lambda: jaxloss.soft_dtw(ROWS, ROWS, gamma=-1.0), r"soft_dtw: gamma must be >= 0"),
    "bandwidth": (ValueError, lambda: jaxloss.soft_dtw(ROWS, ROWS, bandwidth=-1), r"soft_dtw: bandwidth must be >= 0"),
    "normalize": (TypeError, lambda: jaxloss.soft_dtw(ROWS, ROWS, normalize=True), r"soft_dtw has no .*'normalize'"),
    "series of numbers": (
        ValueError,
        lambda: jaxloss.soft_dtw(np.ones(4, np.float32), np.ones(4, np.float32)),
        r"soft_dtw: .*prediction",
    ),
    "dimensions": (ValueError, lambda: jaxloss.soft_dtw(ROWS, ONES), r"soft_dtw: .*target"),
    "one-hot": (ValueError, lambda: jaxloss.crf(ROWS, np.ones((4, 3), int), np.ones((3, 3))), r"crf: .*labels"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told(mistake):
    error, call, sentence = MISTAKES[mistake]
    with pytest.raises(error, match=sentence):
        call()

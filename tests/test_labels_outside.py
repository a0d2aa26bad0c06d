"""A label out of range makes its item NaN, never another class's cost, and does no harm behind a mask."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from refusals import WITH_LABELS, catalogue, sparse

import jaxloss

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
@pytest.mark.sampled(29)
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
@pytest.mark.sampled(5)
def test_a_label_outside_in_64_bits(name, label):
    with jax.enable_x64(True):
        check_label_outside(name, jnp.array([1, label, K - 1], jnp.int64), *labelled(name))


@pytest.mark.parametrize("label", [-1, K, 2**32 + 1, 2**70, np.uint64(2**64 - 1), [2**40], np.ulonglong(K)], ids=repr)
def test_a_plain_integer_outside(label):
    assert np.isnan(sparse(LOGITS[0], label))


@pytest.mark.parametrize(("dtype", "label"), [(np.int8, 100), (np.uint8, 255), (np.int8, 127)])
@pytest.mark.parametrize("name", WITH_LABELS)
@pytest.mark.sampled(5)
def test_more_classes_than_the_dtype_of_the_labels_can_count(name, dtype, label):
    row = np.linspace(0.1, 0.9, 300, dtype=np.float32)
    value = jax.jit(catalogue[name])(row, np.array(label, dtype))
    np.testing.assert_allclose(value, truth(name, row, label), rtol=1e-6)

"""How a test looks at a mistake that is refused: in one sentence, however the loss is called."""

import contextlib
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss

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


# The class axis is the one that all logits have; labels that have it too are those of pixels.
WITH_LABELS = [name for name in SIGNED if array_names(catalogue[name])[1:2] == ["labels"]]
WITH_LABELS = [name for name in WITH_LABELS if len(cores(catalogue[name])[0]) > len(cores(catalogue[name])[1])]
WITH_LABELS = [name for name in WITH_LABELS if "events" not in array_names(catalogue[name])]
WITH_TARGETS = [name for name in SIGNED if array_names(catalogue[name])[1:] == ["targets"]]

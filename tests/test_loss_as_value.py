"""A Loss as a value: equal by structure, hashable, picklable, a pytree, and to Python a function; and the catalogue."""

import copy
import doctest
import functools
import importlib
import inspect
import pickle
import pydoc
import types
from dataclasses import FrozenInstanceError

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from jaxloss.numerics import safe_sqrt

error = jaxloss.absolute_error
squared = jaxloss.squared_error
sparse = jaxloss.softmax_cross_entropy_with_integer_labels
mean, total, none = (functools.partial(jaxloss.reduce, how=how) for how in ("mean", "sum", "none"))
mean_of_rows = jaxloss.reduce(error, axis=-1)


def f32(values):
    return np.asarray(values, np.float32)


def root_mean(tally):
    return safe_sqrt(tally.mean)


# At module level, where a user's losses live: under the name of the term, and under another.


@jaxloss.custom_loss
def log_error(prediction, target, *, shift=1.0, scale=1.0):
    """Defined for predictions above the shift only."""
    return jnp.square(scale * jnp.log(prediction - shift) - target)


@jaxloss.custom_loss(signature="(d),(),(d,v)->()")
def head(hidden, labels, kernel, *, temperature=1.0):
    scores = hidden @ kernel / temperature
    return jax.nn.logsumexp(scores) - scores[labels]


def _dot(u, v):
    return jnp.sum(u * v)


dot = jaxloss.custom_loss(_dot, signature="(d),(d)->()")


def plain_error(prediction, target, *, power=1.0):
    return jnp.abs(prediction - target) ** power


BUILDERS = {
    "library": lambda: jaxloss.huber,
    "library-signature": lambda: sparse,
    "sum": lambda: jaxloss.reduce(jaxloss.huber, "sum"),
    "none": lambda: jaxloss.reduce(jaxloss.huber, "none"),
    "mean-over-axis": lambda: jaxloss.reduce(jaxloss.huber, axis=-1),
    "sum-over-axes": lambda: jaxloss.reduce(jaxloss.huber, "sum", axis=(0, -1)),
    "sum-over-axis-none": lambda: jaxloss.reduce(jaxloss.reduce(sparse, "sum", axis=-1), "none"),
    "two-steps": lambda: jaxloss.reduce(jaxloss.reduce(jaxloss.huber, axis=-1), "sum", axis=0),
    "callable": lambda: jaxloss.reduce(squared, root_mean),
    "partial": lambda: jaxloss.reduce(functools.partial(jaxloss.huber, delta=2.0)),
    "partial-sum": lambda: jaxloss.reduce(functools.partial(jaxloss.huber, delta=2.0), "sum"),
    "partial-other": lambda: jaxloss.reduce(functools.partial(jaxloss.huber, delta=3.0), "sum"),
    "partial-name": lambda: jaxloss.reduce(functools.partial(jaxloss.triplet, margin=1.0, distance="cosine"), "sum"),
    "custom": lambda: log_error,
    "custom-sum": lambda: jaxloss.reduce(log_error, "sum"),
    "custom-signature": lambda: jaxloss.reduce(head, "sum"),
    "custom-partial": lambda: jaxloss.reduce(functools.partial(log_error, scale=2.0), axis=0),
    "custom-by-another-name": lambda: jaxloss.reduce(dot, "none"),
    "made-twice": lambda: jaxloss.custom_loss(_dot, signature="(d),(d)->()"),
    "made-with-another-signature": lambda: jaxloss.custom_loss(_dot, signature="(k),(k)->()"),
    "plain-function": lambda: jaxloss.reduce(plain_error, "sum"),
    "plain-partial": lambda: jaxloss.reduce(functools.partial(plain_error, power=2.0), "sum"),
}
built = pytest.mark.parametrize("name", BUILDERS)


@built
def test_losses_are_equal_by_structure(name):
    loss = BUILDERS[name]()
    assert isinstance(loss, jaxloss.Loss)
    assert loss == BUILDERS[name]()
    assert hash(loss) == hash(BUILDERS[name]())
    assert [other for other in BUILDERS if BUILDERS[other]() == loss] == [name]
    assert loss != name


@built
def test_losses_are_frozen(name):
    loss = BUILDERS[name]()
    with pytest.raises(FrozenInstanceError):
        loss._last = "sum"
    with pytest.raises(FrozenInstanceError):
        loss.anything = 1
    with pytest.raises(FrozenInstanceError):
        del loss._term


@built
def test_losses_are_pickled_and_copied(name):
    loss = BUILDERS[name]()
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(loss, protocol)) == loss
    assert copy.copy(loss) == loss
    assert copy.deepcopy(loss) == loss
    restored = pickle.loads(pickle.dumps(loss))
    assert (restored.__name__, restored.signature, repr(restored)) == (loss.__name__, loss.signature, repr(loss))


def test_a_pickled_loss_computes():
    restored = pickle.loads(pickle.dumps(jaxloss.reduce(functools.partial(plain_error, power=2.0), "sum", axis=-1)))
    assert restored(f32([[1, 2], [3, 4]]), 0.0) == 15


@built
def test_repr_is_the_code_that_makes_it(name):
    loss = BUILDERS[name]()
    names = {"jaxloss": jaxloss, "functools": functools, "root_mean": root_mean, "log_error": log_error, "head": head}
    names |= {"plain_error": plain_error}
    if loss.__name__ == "_dot":
        names["_dot"] = jaxloss.custom_loss(_dot, signature=loss.signature)
    made = eval(repr(loss), names)
    assert (made if isinstance(made, jaxloss.Loss) else jaxloss.reduce(made)) == loss


def test_repr_reads_like_code():
    assert repr(jaxloss.huber) == "jaxloss.huber"
    assert repr(log_error) == "log_error"
    assert repr(jaxloss.reduce(jaxloss.reduce(sparse, "sum", axis=-1), "none")) == (
        "jaxloss.reduce(jaxloss.reduce(jaxloss.softmax_cross_entropy_with_integer_labels, 'sum', axis=-1), 'none')"
    )


def test_a_bound_array_makes_a_loss_that_is_equal_but_not_hashable():
    def bound(delta):
        return jaxloss.reduce(functools.partial(jaxloss.huber, delta=delta), "sum")

    delta = np.array([1.0, 2.0])
    assert bound(delta) == bound(delta.copy()) == bound(delta)
    assert bound(delta) != bound(np.array([1.0, 3.0]))
    assert bound(jnp.array([1.0, 2.0])) == bound(jnp.array([1.0, 2.0]))
    assert bound(delta) != bound(1.0)
    with pytest.raises(TypeError, match="unhashable"):
        hash(bound(delta))
    # 1 (3 - 1/2) + 2 (3 - 1)
    assert bound(delta)(f32([3, 3]), 0.0) == bound(jnp.array([1.0, 2.0]))(f32([3, 3]), 0.0) == 6.5
    assert pickle.loads(pickle.dumps(bound(delta))) == bound(delta)


def test_partials_of_losses():
    p = f32([3, 0])
    wide = functools.partial(jaxloss.huber, delta=2.0)
    assert wide(p, 0.0) == jaxloss.reduce(wide)(p, 0.0) == 2  # 2 (3 - 1) / 2
    assert jaxloss.reduce(wide, "sum")(p, 0.0) == jaxloss.reduce(functools.partial(total(jaxloss.huber), delta=2.0))(
        p, 0.0
    )
    assert jaxloss.reduce(wide)(p, 0.0, delta=1.0) == 1.25
    assert jaxloss.reduce(functools.partial(wide, delta=1.0)) == jaxloss.reduce(
        functools.partial(jaxloss.huber, delta=1.0)
    )
    again = jaxloss.reduce(functools.partial(jaxloss.reduce(functools.partial(log_error, scale=2.0)), shift=0.5), "sum")
    assert again == jaxloss.reduce(functools.partial(log_error, shift=0.5, scale=2.0), "sum")
    loss = jaxloss.reduce(functools.partial(jaxloss.triplet, distance=plain_distance), "sum")
    assert loss(f32([0, 0]), f32([0, 5]), f32([1, 1])) == f32(3 + 0.2)
    assert loss == jaxloss.reduce(functools.partial(jaxloss.triplet, distance=plain_distance), "sum")


def plain_distance(u, v):
    return jnp.sum(jnp.abs(u - v))


def test_a_plain_function_is_a_loss_to_reduce():
    sums = jaxloss.reduce(plain_error, "sum", axis=-1)
    assert isinstance(sums, jaxloss.Loss)
    assert sums(f32([[1, 2], [3, 4]]), 0.0) == 5
    assert sums(f32([[1, 2], [3, 4]]), 0.0, power=2.0, where=np.array([True, False])) == 5


def test_reduce_keeps_what_is_not_named():
    assert jaxloss.reduce(jaxloss.huber) == jaxloss.huber
    assert jaxloss.reduce(total(jaxloss.huber)) == total(jaxloss.huber)
    assert jaxloss.reduce(total(mean_of_rows), "none") == none(mean_of_rows)
    assert jaxloss.reduce(error, axis=-1) == jaxloss.reduce(error, "mean", axis=(-1,))


def test_equal_losses_do_not_retrace():
    traced = []

    def counted(prediction, target):
        traced.append(None)
        return prediction - target

    call = jax.jit(lambda loss, p: loss(p, 0.0), static_argnums=0)
    for _ in range(3):
        assert call(jaxloss.reduce(counted, "sum"), f32([1, 2])) == 3
        assert call(jaxloss.reduce(jaxloss.custom_loss(counted), "sum"), f32([2, 2])) == 4
    assert len(traced) == 1
    call(jaxloss.reduce(counted, "mean"), f32([1, 2]))
    assert len(traced) == 2
    call(jaxloss.reduce(counted, "sum"), f32([1, 2, 3]))
    assert len(traced) == 3


def test_traced_options_do_not_retrace():
    traced = []

    @jax.jit
    def cost(p, delta, mask, weights):
        traced.append(None)
        return jaxloss.huber(p, 0.0, delta=delta, where=mask, weights=weights)

    for delta in (1.0, 2.0):
        for mask in (True, False):
            cost(f32([3, 0]), delta, np.array([mask, True]), f32([1, delta]))
    assert len(traced) == 1


# ------------------------------------------------------------------------------------------------ what Python shows


def test_signature():
    assert str(inspect.signature(jaxloss.huber)) == "(prediction, target, *, delta=1.0, where=None, weights=None)"
    assert str(inspect.signature(total(mean_of_rows))) == "(prediction, target, *, where=None, weights=None)"
    assert str(inspect.signature(head)) == "(hidden, labels, kernel, *, temperature=1.0, where=None, weights=None)"
    wide = jaxloss.reduce(functools.partial(jaxloss.huber, delta=2.0))
    assert inspect.signature(wide).parameters["delta"].default == 2.0
    masked = inspect.signature(sparse).parameters["class_mask"]
    assert (masked.kind, masked.default) == (inspect.Parameter.POSITIONAL_OR_KEYWORD, None)


@pytest.mark.parametrize(
    "loss", [jaxloss.huber, log_error, jaxloss.reduce(sparse, "sum")], ids=lambda loss: loss.__name__
)
def test_help(loss):
    text = pydoc.render_doc(loss, renderer=pydoc.plaintext)
    for parameter in inspect.signature(loss).parameters.values():
        assert str(parameter) in text
    assert inspect.getdoc(loss.__wrapped__).splitlines()[0] in text


def test_a_loss_looks_like_its_term():
    for loss in (log_error, jaxloss.reduce(log_error, "sum")):
        assert (loss.__name__, loss.__qualname__, loss.__module__) == ("log_error", "log_error", __name__)
        assert loss.__doc__ == "Defined for predictions above the shift only."
        assert isinstance(loss.__wrapped__, types.FunctionType)
        assert inspect.unwrap(loss) is log_error.__wrapped__
    assert log_error.__wrapped__(jnp.array(2.0), jnp.array(3.0)) == 9  # log(2 - 1) - 3, squared
    assert jaxloss.huber.__module__ == "jaxloss.losses.regression.errors"
    assert (jaxloss.huber.signature, sparse.signature, total(head).signature) == (
        None,
        "(k),(),(k)->()",
        "(d),(),(d,v)->()",
    )


def test_a_loss_as_class_attribute_stays_itself():
    class Model:
        loss = jaxloss.huber

        def cost(self, p):
            return self.loss(p, 0.0)

    assert Model.loss is Model().loss is jaxloss.huber
    assert Model().cost(f32([3, 0])) == 1.25


def bound_to(delta):
    return jaxloss.reduce(functools.partial(jaxloss.huber, delta=delta), "sum")


def test_a_loss_is_a_pytree_of_the_arrays_bound_in_it():
    p, plain, bound = f32([3, 3]), bound_to(2.0), bound_to(jnp.array([1.0, 2.0]))
    assert jax.tree.leaves((jaxloss.huber, plain)) == []
    (path, leaf), *others = jax.tree.leaves_with_path({"a": bound, "b": plain})
    assert (jax.tree_util.keystr(path), leaf.shape, others) == ("['a'].delta", (2,), [])
    call = jax.jit(lambda loss, p: loss(p, 0.0))
    assert call(bound, p) == bound(p, 0.0) == 6.5
    assert call(plain, p) == plain(p, 0.0) == 8
    assert bound_to(jnp.array([2.0, 4.0])) == jax.tree.map(lambda delta: 2 * delta, bound)
    axes = jax.tree.map(lambda _: 0, bound)
    np.testing.assert_allclose(jax.vmap(lambda loss, p: loss(p, 0.0), (axes, 0))(bound, p), [2.5, 4])
    np.testing.assert_allclose(jax.vmap(lambda loss, p: loss(p, 0.0), (axes, None))(bound, p), [5, 8])
    # The gradient of |e| delta - delta^2 / 2 in delta.
    slope = jax.grad(lambda loss: loss(p, 0.0))(bound)
    assert slope == bound_to(jnp.array([2.0, 1.0]))


def test_a_loss_of_arrays_does_not_retrace():
    traced = []

    @jax.jit
    def call(loss, p):
        traced.append(None)
        return loss(p, 0.0)

    assert [float(call(bound_to(jnp.float32(delta)), f32([3]))) for delta in (1, 2)] == [2.5, 4]
    call(jaxloss.huber, f32([3]))
    call(jaxloss.reduce(jaxloss.huber), f32([3]))
    assert len(traced) == 2


def test_pickled_by_name():
    assert pickle.loads(pickle.dumps(jaxloss.huber)) is jaxloss.huber
    assert copy.deepcopy(log_error) is log_error

    @jaxloss.custom_loss
    def local(prediction, target):
        return prediction - target

    with pytest.raises((AttributeError, pickle.PicklingError), match="local"):
        pickle.dumps(local)


# ----------------------------------------------------------------------------------------------------------- catalogue

FAMILIES = list(dict.fromkeys(loss.__module__ for loss in jaxloss.catalogue.values()))


def test_the_catalogue_is_read_only():
    assert not hasattr(jaxloss.catalogue, "__setitem__")
    with pytest.raises(TypeError):
        jaxloss.catalogue["mine"] = jaxloss.huber
    with pytest.raises(TypeError):
        del jaxloss.catalogue["huber"]
    with pytest.raises(AttributeError):
        jaxloss.catalogue.clear()


def test_the_catalogue_is_flat_and_in_family_order():
    assert FAMILIES[0] == "jaxloss.losses.regression.errors"
    assert {"jaxloss.losses.classification.binary", "jaxloss.losses.divergence.discrete"} <= set(FAMILIES)
    for name, loss in jaxloss.catalogue.items():
        assert isinstance(loss, jaxloss.Loss)
        assert (name, loss) == (loss.__name__, getattr(jaxloss, name))
    # Families one after the other, and each in the order of its file.
    in_files = sorted(
        jaxloss.catalogue.values(),
        key=lambda loss: (FAMILIES.index(loss.__module__), loss.__wrapped__.__code__.co_firstlineno),
    )
    assert [loss.__name__ for loss in in_files] == list(jaxloss.catalogue)


def test_the_catalogue_has_every_public_loss():
    public = {name for name, value in vars(jaxloss).items() if isinstance(value, jaxloss.Loss)}
    assert public == set(jaxloss.catalogue)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_loss_has_a_doctest_that_is_found(family):
    found = doctest.DocTestFinder().find(importlib.import_module(family))
    with_examples = {test.name.removeprefix(f"{family}.") for test in found if test.examples}
    losses = {name for name, loss in jaxloss.catalogue.items() if loss.__module__ == family}
    makers = {name for name in with_examples - losses if callable(getattr(jaxloss, name, None))}
    assert with_examples == losses | makers

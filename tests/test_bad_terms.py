"""A term, a loss, a step or a tally that cannot be is refused in one sentence with the fix."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from refusals import LABELS, ONES, ROWS, huber, refused, squared, table, term

import jaxloss


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


def of_unknown_size(call):
    arrays = [jax.ShapeDtypeStruct(export.symbolic_shape("n"), jnp.float32)] * 2
    return functools.partial(jax.eval_shape, call, *arrays)


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
    "chunks of an unknown size": (
        of_unknown_size(jaxloss.reduce(huber, chunk_size=2)),
        "huber: chunk_size=2 needs the number of items | got the sizes (n,)",
    ),
    "micro-batches of an unknown size": (
        of_unknown_size(jaxloss.value_and_grad(squared.tally, microbatch_size=2)),
        "value_and_grad: microbatch_size=2 needs the number of items | got the sizes (n,)",
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

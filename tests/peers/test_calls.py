"""On ordinary items our values and gradients are those of the peers, wherever theirs are right."""

import functools

import jax
import numpy as np
import pytest
from cases import CASES
from judge import ROWS, reverse

import jaxloss
from peers.calls import CALLS, LIBRARIES

DRAWN = 32


def _pairs():
    """Each call beside each set of options of our case that it takes, and beside its own."""
    for call in CALLS:
        rows = [row for row in ROWS if row.case.name == call.ours and not row.case.masked and call.takes(row.options)]
        sets = [call.options] if call.options else [row.options for row in rows if row.options not in call.wrong_at]
        for options in sets:
            name = "-".join([call.peer.split(".", 1)[1], call.ours, *(f"{k}={v}" for k, v in options.items())])
            yield pytest.param(call, options, id=f"{call.library}-{name}")


def _ordinary(name):
    case = next(case for case in CASES if case.name == name and not case.masked)
    drawn = case.draw(np.random.default_rng(7), DRAWN)
    return case, tuple(array.astype({"f": np.float32, "i": np.int32}[array.dtype.kind]) for array in drawn)


@pytest.mark.parametrize(("call", "options"), list(_pairs()))
def test_ours_is_theirs(call, options):
    case, arrays = _ordinary(call.ours)
    every = {**_defaults(call.ours), **options}
    positions = call.positions(case.differentiable)
    theirs = call.values_and_gradients(arrays, positions, every)
    ours = jax.jit(functools.partial(reverse, call.ours, tuple(options.items()), positions))(*arrays)
    same = call.only(*arrays)
    assert same.any()
    assert call.differs or same.all()
    np.testing.assert_allclose(theirs[0][same], ours[0][same], rtol=call.rtol, atol=1e-6)
    assert same.all() or not np.allclose(theirs[0], ours[0], rtol=1e-3), "it does not differ"
    for got, true in zip(theirs[1], ours[1], strict=True):
        scale = float(np.max(np.abs(true)))
        np.testing.assert_allclose(got[same], np.asarray(true)[same], rtol=call.rtol, atol=1e-5 * scale)


def _defaults(name):
    return next(row for row in ROWS if row.case.name == name).rounded_options(np.float32)


def test_every_call_is_of_a_loss_that_exists():
    assert {call.ours for call in CALLS} <= set(jaxloss.catalogue)
    assert {call.library for call in CALLS} == set(LIBRARIES)

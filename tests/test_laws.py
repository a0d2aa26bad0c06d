"""Every law, swept over every row of the table of cases."""

import functools

import numpy as np
import pytest
from cases import CASES, Case

import jaxloss
from jaxloss.testing.laws import LAWS
from jaxloss.testing.subject import NotRun, Subject

LEADING = (5, 2)


def _rows(every):
    """A row a loss and a set of options. The short run takes the first set alone, and every so-many-th loss."""
    for place, case in enumerate(CASES):
        masked = ("-class_mask" if case.masked else "") + case.variant
        for number, options in enumerate(case.options):
            settings = "".join(f"-{name}={value}" for name, value in options.items())
            marks = () if number == 0 and place % every == 0 else pytest.mark.sweep
            yield pytest.param(case, options, id=case.name + masked + settings, marks=marks)


@functools.cache
def _subject(case: Case, options: tuple) -> Subject:
    arrays = case.draw(np.random.default_rng(7), int(np.prod(LEADING)))
    arrays = [array if i in case.shared else array.reshape(LEADING + array.shape[1:]) for i, array in enumerate(arrays)]
    return Subject(jaxloss.catalogue[case.name], arrays, dict(options))


@pytest.fixture
def subject(case, options) -> Subject:
    return _subject(case, tuple(options.items()))


swept = pytest.mark.parametrize(("case", "options"), list(_rows(every=1)))
# What the laws about many items and about low precision try is the mechanism, which is the same for every loss; what
# float32 tells against float64 is tried against 50 digits too.
sampled = pytest.mark.parametrize(("case", "options"), list(_rows(every=59)))


@swept
@pytest.mark.sampled(53)
def test_call(subject):
    LAWS["call"](subject)


@swept
@pytest.mark.sampled(53)
def test_scalar(subject):
    LAWS["scalar"](subject)


@sampled
def test_vmap(subject):
    LAWS["vmap"](subject)


@swept
@pytest.mark.sampled(53)
def test_jit(subject):
    LAWS["jit"](subject)


@swept
@pytest.mark.sampled(53)
def test_differentiation(subject):
    LAWS["differentiation"](subject)


@swept
@pytest.mark.sampled(53)
def test_corners(subject):
    LAWS["corners"](subject)


@sampled
def test_masked_equals_deleted(subject):
    LAWS["masked_equals_deleted"](subject)


@swept
@pytest.mark.sampled(12)
def test_deleted_slots(subject):
    if any(name.endswith("_mask") for name in subject.names):
        LAWS["deleted_slots"](subject)
    else:
        with pytest.raises(NotRun, match="no mask inside an item"):
            LAWS["deleted_slots"](subject)


@sampled
def test_weights_are_copies(subject):
    LAWS["weights_are_copies"](subject)


@sampled
def test_nothing_counts(subject):
    LAWS["nothing_counts"](subject)


@sampled
def test_split(subject):
    LAWS["split"](subject)


@sampled
def test_order(subject):
    LAWS["order"](subject)


@swept
@pytest.mark.sampled(3)
def test_shapes(subject):
    if len(subject.names) > 1:
        LAWS["shapes"](subject)
    else:
        with pytest.raises(NotRun, match="only one array"):
            LAWS["shapes"](subject)


@swept
@pytest.mark.sampled(12)
def test_labels(subject):
    if subject.labels:
        LAWS["labels"](subject)
    else:
        with pytest.raises(NotRun, match="no labels"):
            LAWS["labels"](subject)


@sampled
def test_precision(subject):
    LAWS["precision"](subject)


@sampled
def test_truth(subject):
    LAWS["truth"](subject)


@sampled  # all of this suite runs in the strict world
def test_strict_world(subject):
    LAWS["strict_world"](subject)


@swept
def test_refused_early(subject):
    LAWS["refused_early"](subject)


def test_every_law_is_swept():
    assert {f"test_{name}" for name in LAWS} <= set(globals())


def test_every_loss_has_a_row():
    assert {case.name for case in CASES} == set(jaxloss.catalogue)


def test_declared_gradients_are_those_of_the_arrays():
    for case in CASES:
        assert _subject(case, tuple(case.options[0].items())).real == case.differentiable, case.name

"""Law 17 on a sample of the losses: what they move on a chip, and what they keep in its memory."""

import pytest
from bounds import bounds, bounds_of_extra
from sample import sample
from works import work

SAMPLE = sample()


def _rows():
    """A row a work; those of a loss go to one worker, which compiles the plain formula once."""
    for each in SAMPLE:
        name = " ".join(filter(None, [str(each), each.first.dtype.name, each.extra]))
        yield pytest.param(each, id=name, marks=pytest.mark.xdist_group(each.loss))


@pytest.mark.parametrize("gradient", [False, True], ids=["value", "value_and_gradient"])
@pytest.mark.parametrize("each", list(_rows()))
def test_moves_and_keeps_no_more_than_allowed(each, gradient, program, chip):
    ours = program(each, gradient)
    assert not ours.endless, "a loop whose trips are not known is counted once"
    if each.extra:
        without = program(work(each.loss, each.first.dtype), gradient)
        judged = bounds_of_extra(chip.name, each, gradient, ours, without, program(each, gradient, plain=True))
    else:
        judged = bounds(chip.name, each, gradient, ours, program(each, gradient, plain=True))
    assert not [str(bound) for bound in judged if not bound.held]


def test_the_sample_is_large_enough():
    assert len(SAMPLE) >= 20
    assert {each.first.dtype.name for each in SAMPLE} == {"float32", "bfloat16"}
    assert {each.extra for each in SAMPLE} == {"", "where", "weights"}

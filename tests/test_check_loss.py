"""check_loss finds what it is for: one planted bug for each law, named with its numbers."""

import functools
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from jaxloss import Loss, custom_loss, reduce
from jaxloss.core.term import Term
from jaxloss.testing import Report, check_loss
from jaxloss.testing.laws import LAWS, MENDS, QUICK, chosen

ERRORS = jnp.array([0.3, 1.5, -0.7, 2.0, 0.1, -1.2]), jnp.array([0.1, 1.0, 0.4, -1.0, 0.5, 0.2])
PROBABILITIES = jnp.array([0.3, 0.9, 0.2, 0.6]), jnp.array([0.0, 1.0, 1.0, 0.0])
CLASSES = jnp.array([[0.5, 1.0, -1.0], [2.0, 0.1, 0.4], [0.3, 0.2, 0.9], [1.0, 1.5, 0.0]]), jnp.array([0, 2, 1, 1])

PIXELS = (
    jnp.stack([ERRORS[0], ERRORS[1], ERRORS[0]]),
    jnp.stack([ERRORS[1], ERRORS[0], 2 * ERRORS[1]]),
    jnp.ones((3, 6)) > 0,
)


@custom_loss
def averages_inside(prediction, target):
    return jnp.mean(jnp.square(prediction - target))


@custom_loss
def averages_inside_and_keeps_the_shape(prediction, target):
    return jnp.full_like(prediction, jnp.mean(jnp.square(prediction - target)))


@custom_loss
def looks_across_items(prediction, target):
    return jnp.square(prediction - jnp.mean(prediction) - target)


@custom_loss
def depends_on_the_place(prediction, target):
    return jnp.square(prediction - target) * (1 + jnp.arange(prediction.shape[0])).astype(prediction.dtype)


@custom_loss
def breaks_under_jit(prediction, target):
    return jnp.square(prediction - target) if prediction.sum() > target.sum() else prediction - target


@custom_loss
def clips(probabilities, targets):
    p = jnp.clip(probabilities, 1e-7, 1 - 1e-7)
    return -(targets * jnp.log(p) + (1 - targets) * jnp.log1p(-p))


@custom_loss
def clips_far_from_rounding(probabilities, targets):
    p = jnp.clip(probabilities, 2.0**-10, 1 - 2.0**-10)
    return -(targets * jnp.log(p) + (1 - targets) * jnp.log1p(-p))


@jax.custom_jvp
def wrong_square(x):
    return jnp.square(x)


wrong_square.defjvp(lambda primals, tangents: (wrong_square(primals[0]), primals[0] * tangents[0]))


@custom_loss
def has_a_wrong_gradient(prediction, target):
    return wrong_square(prediction - target)


@jax.custom_vjp
def backward_only(x):
    return jnp.square(x)


backward_only.defvjp(lambda x: (backward_only(x), x), lambda x, g: (2 * x * g,))


@custom_loss
def has_no_forward_mode(prediction, target):
    return backward_only(prediction - target)


@custom_loss
def has_a_corner(prediction, target):
    return jnp.sqrt(jnp.square(prediction - target))


@custom_loss(signature="(k),()->()")
def clamps_labels(logits, labels):
    return -jax.nn.log_softmax(logits)[jnp.clip(labels, 0, logits.shape[0] - 1)]


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.5)
def counts_deleted_slots(prediction, target, pixel_mask):
    return jnp.sum(jnp.square(prediction - target) * pixel_mask) / prediction.shape[0]


@custom_loss
def rounds_on_the_way(prediction, target):
    return jnp.square((prediction - target).astype(jnp.bfloat16)).astype(prediction.dtype)


@custom_loss
def mixes_dtypes(prediction, target):
    return jnp.square(prediction - target) * np.float64(0.5)


class Handmade(Loss):
    """A loss past the mechanism, which is the only way to plant what the mechanism makes impossible."""

    def __call__(self, prediction, target, where=None, weights=None, **_):
        values = jnp.square(jnp.asarray(prediction) - jnp.asarray(target))
        count = jnp.float32(values.size)
        if where is not None or weights is not None:
            share = jnp.ones_like(values) if where is None else jnp.asarray(where, jnp.float32)
            count = jnp.sum(share)
            values = values * share
        return (
            values
            if self._plan.last == "none"
            else jnp.sum(values)
            if self._plan.last == "sum"
            else jnp.sum(values) / count
        )


class ReturnsAnArray(Handmade):
    def __call__(self, *arrays, **keywords):
        return jnp.atleast_1d(super().__call__(*arrays, **keywords))


def handmade(prediction, target):
    return prediction * target


PLANTED = {
    "call": (averages_inside, ERRORS, "must return the shape"),
    "scalar": (ReturnsAnArray(Term(handmade, None)), ERRORS, "a call returns shape \\(1,\\)"),
    "vmap": (averages_inside_and_keeps_the_shape, ERRORS, "the value of an item among others is"),
    "split": (looks_across_items, ERRORS, "an item's value, after another item changed, is"),
    "order": (depends_on_the_place, ERRORS, "the value of permuted items is"),
    "jit": (breaks_under_jit, ERRORS, "TracerBoolConversionError"),
    "truth": (clips, PROBABILITIES, "is it clipped"),
    "differentiation": (has_a_wrong_gradient, ERRORS, "the gradient in prediction along a random direction is off by"),
    "corners": (has_a_corner, ERRORS, "prediction = target the value is 0.0 and the gradient in prediction is nan"),
    "deleted_slots": (counts_deleted_slots, PIXELS, "the value with nan in a slot that pixel_mask deletes is"),
    "labels": (clamps_labels, CLASSES, "labels = -1 gives .*, expected nan"),
    "strict_world": (mixes_dtypes, ERRORS, "TypePromotionError"),
}


def in_the_world_of_a_user(loss, arrays, **settings):
    """A user is not as strict as this suite."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return check_loss(loss, *arrays, **settings)


def findings(loss, arrays, laws):
    with pytest.raises(AssertionError) as caught:
        in_the_world_of_a_user(loss, arrays, laws=laws)
    lines = str(caught.value).splitlines()
    return lines[0], {line[2:].split(":")[0]: line for line in lines[1:] if line.startswith("- ")}


@pytest.mark.parametrize("law", PLANTED)
@pytest.mark.sampled(6)
def test_a_planted_bug_is_found(law):
    loss, arrays, message = PLANTED[law]
    head, broken = findings(loss, arrays, law)
    assert head == f"{loss.__name__} breaks 1 law:"
    assert list(broken) == [law]
    assert re.search(message, broken[law]), broken[law]


def test_a_clip_away_from_rounding_is_found_by_its_dead_gradient():
    _, broken = findings(clips_far_from_rounding, PROBABILITIES, "truth")
    assert "the gradient 0; is it clipped?" in broken["truth"]


def test_a_loss_without_forward_mode_is_found():
    _, broken = findings(has_no_forward_mode, ERRORS, "differentiation")
    assert "TypeError" in broken["differentiation"]


def test_rounding_on_the_way_is_found():
    _, broken = findings(rounds_on_the_way, ERRORS, "differentiation")
    assert "differentiation" in broken


@functools.cache
def handmade_findings():
    return findings(Handmade(Term(handmade, None)), ERRORS, "all")[1]


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ("masked_equals_deleted", "with nan behind the mask in prediction is nan at a masked slot"),
        ("weights_are_copies", "with weights 0, 1, 2 is"),
        ("nothing_counts", "of nothing the mean is nan"),
        ("shapes", "prediction of shape \\(6, 1\\) among"),
        ("precision", "the value from bfloat16 is"),
        ("refused_early", "an unknown option is accepted"),
    ],
)
def test_what_the_mechanism_forbids_is_found_in_a_loss_past_it(law, message):
    found = handmade_findings()[law]
    assert re.search(message, found), found


def log_squared(prediction, target):
    return jnp.log1p(jnp.square(prediction - target))


def test_a_good_loss_passes_and_the_report_says_what_does_not_apply():
    report = check_loss(log_squared, *ERRORS)
    assert isinstance(report, Report)
    assert set(report.held) | set(report.does_not_apply) == set(LAWS)
    assert report.does_not_apply == {
        "deleted_slots": "the loss takes no mask inside an item.",
        "labels": "the loss takes no labels.",
    }
    assert report.not_run == {}
    assert "does not apply: labels: the loss takes no labels." in str(report)


def test_what_could_not_be_run_is_told_apart_from_what_broke():
    two = ERRORS[0][:2], ERRORS[1][:2]
    report = check_loss(log_squared, *two, laws="quick")
    assert set(report.not_run) == {"vmap", "order"}
    assert "the example has 2 items along its first axis" in report.not_run["vmap"]
    with pytest.raises(AssertionError) as caught:
        check_loss(has_a_corner, *two, laws="quick")
    head, *lines = str(caught.value).splitlines()
    assert head == "has_a_corner breaks 1 law:"
    assert [line.split(":")[0] for line in lines] == ["- corners", "  To mend it", *["Not run on this example"] * 2]


def test_a_mask_that_may_be_given_is_asked_for():
    report = check_loss(jaxloss.softmax_cross_entropy_with_integer_labels, *CLASSES, laws="deleted_slots")
    assert report.not_run == {"deleted_slots": "the example has no mask inside an item; give class_mask."}


def test_an_example_without_items_says_what_it_could_not_run():
    one = jnp.float32(1.5), jnp.float32(0.2)
    report = check_loss(jaxloss.huber, *one, delta=0.5, laws=("split", "shapes", "differentiation"))
    assert set(report.not_run) == {"split", "shapes"}
    assert "the example has no leading axis" in report.not_run["split"]
    assert "differentiation" in report.held


def test_laws_are_chosen_by_name_and_run_in_order():
    assert chosen(["split", "corners"]) == ("call", "corners", "split")
    assert chosen(["quick"]) == QUICK
    assert chosen(["quick", *LAWS]) == chosen(["all"]) == tuple(LAWS)
    assert check_loss(jaxloss.huber, *ERRORS, laws=("order", "shapes")).held == ("call", "order", "shapes")
    with pytest.raises(ValueError, match=r"no law named 'corner'; did you mean corners\?"):
        check_loss(jaxloss.huber, *ERRORS, laws="corner")
    with pytest.raises(ValueError, match="no law named 'xyz'; there are all, quick, call, "):
        check_loss(jaxloss.huber, *ERRORS, laws=("order", "xyz"))


def test_the_quick_laws_find_a_term_that_looks_across_items():
    _, broken = findings(looks_across_items, ERRORS, "quick")
    assert "the value of an item among others is" in broken["vmap"]


def test_quick_is_a_few_compiled_programs(caplog):
    # What it takes is compiling; a second is about thirty small programs.
    @custom_loss
    def fresh(prediction, target):
        return jnp.log1p(jnp.square(prediction - target))

    with jax.log_compiles():
        check_loss(fresh, *ERRORS, laws="quick")
    programs = [text for text in caplog.messages if text.startswith("Compiling ")]
    assert 5 <= len(programs) <= 14, programs


def test_strict_promotion_is_a_warning_unless_asked_for():
    with pytest.warns(UserWarning, match=r"mixes_dtypes: strict_world: .*TypePromotionError.* Python numbers"):
        report = in_the_world_of_a_user(mixes_dtypes, ERRORS, laws="quick")
    assert set(report.warnings) == {"strict_world"}
    assert "warnings: strict_world: it raises TypePromotionError" in str(report)


def test_every_law_says_how_to_mend_what_breaks_it():
    assert list(MENDS) == list(LAWS)
    assert all(re.fullmatch(r"[A-Z][^\n]*\.", sentence) for sentence in MENDS.values())
    with pytest.raises(AssertionError, match=re.escape(f"  To mend it: {MENDS['corners']}")):
        check_loss(has_a_corner, *ERRORS, laws="corners")


def test_there_is_a_bar_on_a_terminal(capsys, monkeypatch):
    check_loss(jaxloss.huber, *ERRORS, laws="shapes")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    check_loss(jaxloss.huber, *ERRORS, laws="shapes")
    assert "huber" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert check_loss(jaxloss.huber, *ERRORS, laws="shapes").held == ("call", "shapes")


def test_reductions_of_the_loss_are_left_aside():
    doubled = reduce(functools.partial(jaxloss.huber, delta=0.6), "sum")
    assert "split" in check_loss(doubled, *ERRORS, laws="split").held


def test_every_law_has_a_planted_bug():
    past = {"masked_equals_deleted", "weights_are_copies", "nothing_counts", "shapes", "precision", "refused_early"}
    assert past | set(PLANTED) == set(LAWS)

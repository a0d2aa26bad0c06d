"""The laws by name, which of them to run, and how to mend what breaks one."""

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, get_args

from jaxloss.testing import formula, items
from jaxloss.testing.subject import Broken, DoesNotApply, NotRun, Subject

_IN_ORDER = (
    formula.call,
    formula.scalar,
    items.vmap,
    formula.jit,
    formula.differentiation,
    formula.corners,
    items.masked_equals_deleted,
    items.deleted_slots,
    items.weights_are_copies,
    items.nothing_counts,
    items.split,
    items.order,
    formula.shapes,
    formula.labels,
    formula.precision,
    formula.truth,
    formula.strict_world,
    formula.refused_early,
)

LAWS: dict[str, Callable[[Subject], None]] = {law.__name__: law for law in _IN_ORDER}
"""Each returns, or raises Broken with the numbers, or NotRun with the reason."""

_OF_THE_MECHANISM = ("masked_equals_deleted", "weights_are_copies", "nothing_counts", "split", "precision")
"""Long to compile, and seldom broken by a term: masks, weights and splits are handled outside it."""

QUICK = tuple(name for name in LAWS if name not in _OF_THE_MECHANISM)

MENDS: dict[str, str] = {
    "call": "Call the loss on the example by itself and follow its error; a term without signature= returns the shape "
    "of its arrays and leaves the mean to jaxloss.reduce.",
    "scalar": "Leave the reduction to jaxloss.reduce, whose last step gives the scalar.",
    "vmap": "Let the term use one item alone, without a mean or a sum over items; declare with signature= what belongs "
    "to one item, such as '(k),()->()'.",
    "jit": "Use jnp.where in place of an if on values and jnp in place of np, and read nothing that changes between "
    "calls.",
    "differentiation": "Leave derivatives to JAX, or correct the rule you gave; give it by jax.custom_jvp, as "
    "jax.custom_vjp has no forward mode, and round nothing on the way.",
    "corners": "Replace the input where the slope is infinite, and not only the output, as in "
    "jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1)), 0); jaxloss.numerics has safe_sqrt, safe_log and xlogy.",
    "masked_equals_deleted": "Make the loss with custom_loss, which replaces masked items, and see that with the "
    "constants of its stand_in= the term and its slopes are finite.",
    "deleted_slots": "Leave deleted slots out of every sum and every count, as in jnp.sum(x, where=mask) / "
    "jnp.sum(mask), and give 0 where no slot is left.",
    "weights_are_copies": "Leave weights to the keyword weights= of a loss made with custom_loss; a weighted_sum= "
    "multiplies each value by its weight once.",
    "nothing_counts": "Make the loss with custom_loss, and see that with the constants of its stand_in= the term and "
    "its slopes are finite.",
    "split": "Let the term use one item alone; where a batch is coupled, declare its axis with signature=, such as "
    "'(n,d),(n)->(n)', so that the batch is one item.",
    "order": "Do not use the place of an item among the others; pass what depends on the place as an array.",
    "shapes": "Make the loss with custom_loss, which compares shapes before the term runs; broadcast nothing earlier.",
    "labels": "Pick the class of a label by jaxloss.numerics.pick or one_hot, which give NaN where it is no class; an "
    "index clamps or wraps.",
    "precision": "Cast nothing to a lower precision in the term, and let a weighted_sum= accumulate in float32 "
    "(preferred_element_type=jnp.float32).",
    "truth": "Clip nothing and add no epsilon; where numbers cancel or overflow use log1p, expm1, softplus, "
    "logsumexp or a function of jaxloss.numerics.",
    "strict_world": "Write constants as Python numbers (0.5, not np.float64(0.5)), cast conditions and integers before "
    "arithmetic, as in (x > 0).astype(x.dtype), and compare arrays of equal rank.",
    "refused_early": "Make the loss with custom_loss, and name its options as keyword-only parameters, not as "
    "**options.",
}

Verdict = Literal["held", "broken", "warning", "not run", "does not apply"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


def chosen(laws: Iterable[str]) -> tuple[str, ...]:
    """The laws to run, in order: those of "all", of "quick", and those named. `call` comes first in any case.

    Raises:
        ValueError: There is no law of this name.
    """
    groups = {"all": tuple(LAWS), "quick": QUICK, **{name: (name,) for name in LAWS}}
    wanted = {"call"}
    for name in laws:
        if name not in groups:
            near = difflib.get_close_matches(name, groups, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(groups)}."
            raise ValueError(f"there is no law named {name!r}; {hint}")
        wanted.update(groups[name])
    return tuple(name for name in LAWS if name in wanted)


def verdicts(subject: Subject, names: Iterable[str], strict: bool) -> Iterator[tuple[str, Verdict, str]]:
    """Runs laws, each with its verdict and the numbers or the reason. A call that fails ends it.

    Unless `strict`, what breaks under strict promotion is a warning.
    """
    for name in names:
        verdict, text = _verdict(LAWS[name], subject)
        if name == "strict_world" and verdict == "broken" and not strict:
            verdict = "warning"
        yield name, verdict, text
        if name == "call" and verdict == "broken":
            return


def _verdict(law: Callable[[Subject], None], subject: Subject) -> tuple[Verdict, str]:
    try:
        law(subject)
    except DoesNotApply as reason:
        return "does not apply", str(reason)
    except NotRun as reason:
        return "not run", str(reason)
    except Broken as finding:
        return "broken", str(finding)
    except Exception as error:  # whatever the loss raises is a finding
        first_line = (str(error).strip() or "without a message").splitlines()[0]
        return "broken", f"it raises {type(error).__name__}: {first_line}"
    return "held", ""

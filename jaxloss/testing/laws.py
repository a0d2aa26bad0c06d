"""The laws by name. Each returns, or raises Broken with the numbers, or NotRun with the reason."""

from collections.abc import Callable, Iterator
from typing import Literal

from jaxloss.testing import formula, items
from jaxloss.testing.subject import Broken, NotRun, Subject

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

Verdict = Literal["held", "broken", "not run"]


def verdicts(subject: Subject) -> Iterator[tuple[str, Verdict, str]]:
    """Runs the laws in order, each with its verdict and the numbers or the reason. A call that fails ends it."""
    for name, law in LAWS.items():
        verdict, text = _verdict(law, subject)
        yield name, verdict, text
        if name == "call" and verdict == "broken":
            return


def _verdict(law: Callable[[Subject], None], subject: Subject) -> tuple[Verdict, str]:
    try:
        law(subject)
    except NotRun as reason:
        return "not run", str(reason)
    except Broken as finding:
        return "broken", str(finding)
    except Exception as error:  # whatever the loss raises is a finding
        first_line = (str(error).strip() or "without a message").splitlines()[0]
        return "broken", f"it raises {type(error).__name__}: {first_line}"
    return "held", ""

"""The laws by name. Each returns, or raises Broken with the numbers, or NotRun with the reason."""

from collections.abc import Callable

from jaxloss.testing import formula, items
from jaxloss.testing.subject import Subject

_IN_ORDER = (
    formula.call,
    formula.scalar,
    items.vmap,
    formula.jit,
    formula.differentiation,
    formula.corners,
    items.masked_equals_deleted,
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

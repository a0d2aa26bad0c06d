"""The law kit: what holds for every loss of this library, checked on yours."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Report:
    """What `check_loss` found.

    Attributes:
        loss: The name of the loss.
        held: The laws that hold.
        not_run: Those that this example does not allow to run, each with the reason.
        does_not_apply: Those that say nothing of this loss, each with the reason.
        warnings: What is worth a change and breaks nothing: strict promotion, unless it was asked for.
    """

    loss: str
    held: tuple[str, ...]
    not_run: dict[str, str] = field(default_factory=dict)
    does_not_apply: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.loss}: {len(self.held)} laws hold ({', '.join(self.held)})."]
        for verdict in ("does_not_apply", "not_run", "warnings"):
            lines += [f"  {verdict.replace('_', ' ')}: {law}: {why}" for law, why in getattr(self, verdict).items()]
        return "\n".join(lines)


def check_loss(loss: Any, *arrays: Any, laws: str | Iterable[str] = "all", **options: Any) -> Report:
    """Runs the laws of this library on a loss of yours, with a bar on a terminal where tqdm is installed.

    Args:
        loss: A Loss, a `functools.partial` of one, or an elementwise function. Its reductions are left aside: the laws
            are about the formula, and try the reductions themselves.
        *arrays: An example: the arrays of a call, inside the domain and away from kinks, with one leading axis or more
            and three items or more. A few items are enough.
        laws: "all", "quick" (those that a term may break by itself: a few seconds), or names of laws; `jaxloss laws`
            lists them. `strict_world` is a warning unless it is named, as in ("all", "strict_world").
        **options: The options of the call. One that is named `laws` is bound by `functools.partial`.

    Returns:
        A Report of the laws that hold, of those that could not be run on this example, and of those that say nothing
        of this loss.

    Raises:
        AssertionError: One or more laws are broken. The message lists each with its numbers and the way to mend it.
        ValueError: There is no law of this name.

    >>> import jax.numpy as jnp
    >>> import jaxloss
    >>> @jaxloss.custom_loss
    ... def careless(prediction, target):
    ...     return jnp.sqrt((prediction - target) ** 2)
    >>> from jaxloss.testing import check_loss
    >>> prediction, target = jnp.array([1.0, 2.0, 3.0]), jnp.array([1.5, 1.0, 5.0])
    >>> check_loss(careless, prediction, target, laws="quick")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    AssertionError: careless breaks 1 law:
    - corners: with prediction = target the value is 0.0 and the gradient in prediction is nan.
      To mend it: Replace the input where the slope is infinite, and not only the output, as in ...
    """
    # Imported when used: a program that trains does not wait for them.
    from jaxloss.testing.laws import MENDS, VERDICTS, chosen, verdicts
    from jaxloss.testing.subject import Subject

    asked = (laws,) if isinstance(laws, str) else tuple(laws)
    names = chosen(asked)
    subject = Subject(loss, arrays, options)
    found: dict[str, dict[str, str]] = {verdict: {} for verdict in VERDICTS}
    for law, verdict, text in verdicts(subject, _with_a_bar(names, subject.name), strict="strict_world" in asked):
        found[verdict][law] = text
    for law, finding in found["warning"].items():
        warnings.warn(f"{subject.name}: {law}: {finding} {MENDS[law]}", stacklevel=2)
    if broken := found["broken"]:
        lines = [f"{subject.name} breaks {len(broken)} law{'s' * (len(broken) > 1)}:"]
        for law, finding in broken.items():
            lines += [f"- {law}: {finding}", f"  To mend it: {MENDS[law]}"]
        lines += [f"Not run on this example: {law}: {reason}" for law, reason in found["not run"].items()]
        raise AssertionError("\n".join(lines))
    return Report(subject.name, tuple(found["held"]), found["not run"], found["does not apply"], found["warning"])


def _with_a_bar(names: Sequence[str], loss: str) -> Iterable[str]:
    try:
        from tqdm import tqdm  # type: ignore[import-untyped]
    except ImportError:
        return names
    return tqdm(names, loss, unit="law", leave=False, disable=None)  # None: where it is no terminal

"""The law kit: what holds for every loss of this library, checked on yours."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Report:
    """What `check_loss` found: the laws that hold, and those it could not run, each with the reason."""

    loss: str
    held: tuple[str, ...]
    not_run: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.loss}: {len(self.held)} laws hold ({', '.join(self.held)})."]
        lines += [f"  not run: {law}: {reason}" for law, reason in self.not_run.items()]
        return "\n".join(lines)


def check_loss(loss: Any, *arrays: Any, **options: Any) -> Report:
    """Runs the laws of this library on a loss of yours.

    Args:
        loss: A Loss, a `functools.partial` of one, or an elementwise function. Its reductions are left aside: the laws
            are about the formula, and try the reductions themselves.
        *arrays: An example: the arrays of a call, inside the domain and away from kinks, with one leading axis or more
            and three items or more. A few items are enough.
        **options: The options of the call.

    Returns:
        A Report of the laws that hold and of those that could not be run on this example.

    Raises:
        AssertionError: One or more laws are broken. The message lists each with its numbers.

    >>> import jax.numpy as jnp
    >>> import jaxloss
    >>> @jaxloss.custom_loss
    ... def careless(prediction, target):
    ...     return jnp.sqrt((prediction - target) ** 2)
    >>> from jaxloss.testing import check_loss
    >>> check_loss(careless, jnp.array([1.0, 2.0, 3.0]), jnp.array([1.5, 1.0, 5.0]))
    Traceback (most recent call last):
        ...
    AssertionError: careless breaks 1 law:
    - corners: with prediction = target the value is 0.0 and the gradient in prediction is nan.
    - deleted_slots could not be run: the example has no mask inside an item.
    - labels could not be run: the loss takes no labels.
    """
    # Imported when used: a program that trains does not wait for them.
    from jaxloss.testing.laws import verdicts
    from jaxloss.testing.subject import Subject

    subject = Subject(loss, arrays, options)
    found: dict[str, dict[str, str]] = {"held": {}, "broken": {}, "not run": {}}
    for law, verdict, text in verdicts(subject):
        found[verdict][law] = text
    held, broken, not_run = found["held"], found["broken"], found["not run"]
    if not broken:
        return Report(subject.name, tuple(held), not_run)
    lines = [f"{subject.name} breaks {len(broken)} law{'s' * (len(broken) > 1)}:"]
    lines += [f"- {name}: {finding}" for name, finding in broken.items()]
    lines += [f"- {name} could not be run: {reason}" for name, reason in not_run.items()]
    raise AssertionError("\n".join(lines))

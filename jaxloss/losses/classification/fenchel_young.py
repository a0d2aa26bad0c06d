"""The maker of losses of structured prediction: one for each function that gives a largest score, smoothed or not."""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from jaxloss.core.loss import Loss, custom_loss
from jaxloss.numerics.safe import multiply_no_nan
from jaxloss.types import Array, Input


def fenchel_young(max_fun: Callable[[Any], Any]) -> Loss[[Any, Any]]:
    r"""Makes the loss whose best prediction maximises a score: `max_fun` less the score of the target.

    $$ L(\theta, y) = \Omega^*(\theta) - \langle \theta, y \rangle, \qquad
       \Omega^*(\theta) = \max_p \left[ \langle \theta, p \rangle - \Omega(p) \right], \qquad
       \nabla_\theta L = p^* - y $$

    The loss takes `scores` and `targets`, both `[..., k]`, the targets real. It is convex in the scores, and least
    where the maximising p is the target. The whole Fenchel-Young loss has the constant Omega(y) besides, which makes
    the least value 0; without it that is -Omega(y), 0 for an Omega that is 0 at the corners of the simplex. The
    difference cancels where its terms are large. Where a loss has a name take that, whose small values are right:
    `softmax_cross_entropy` for logsumexp, `multiclass_sparsemax` and `entmax15` for the sparse maps.

    Args:
        max_fun: Omega*, of one vector of scores `[k]` to a number; differentiable, and convex if the loss is to be. It
            is part of the loss: two losses of equal functions are equal, and a loss of a function at the top level of a
            module can be pickled.

    Corners: a class of score -inf and of target 0 adds nothing to the product; `max_fun` says what it adds there.

    Raises:
        TypeError: `max_fun` is not a function.

    Source: Blondel et al. (2020), Learning with Fenchel-Young losses, definition 2.

    >>> import jax.numpy as jnp
    >>> import jaxloss
    >>> loss = jaxloss.fenchel_young(jaxloss.numerics.logsumexp)
    >>> print(f"{loss(jnp.array([2.0, 1.0, 0.0]), jnp.array([1.0, 0.0, 0.0])):.4f}", loss)
    0.4076 jaxloss.fenchel_young(logsumexp)
    """
    if not callable(max_fun):
        raise TypeError(f"fenchel_young takes a function of a vector of scores, got {type(max_fun).__name__}.")
    return custom_loss(_FenchelYoung(max_fun), signature="(k),(k)->()", stand_in=0.5)


@dataclass(frozen=True)
class _FenchelYoung:
    """The Fenchel-Young loss of a function, which is `fenchel_young(max_fun)` less the constant Omega(targets)."""

    max_fun: Callable[[Any], Any]

    @property
    def __name__(self) -> str:
        return f"fenchel_young({getattr(self.max_fun, '__name__', repr(self.max_fun))})"

    def __call__(self, scores: Input, targets: Input) -> Array:
        return jnp.asarray(self.max_fun(scores)) - jnp.sum(multiply_no_nan(targets, scores))

    def __reduce__(self) -> tuple[Any, ...]:
        # By name where it has one, as any function; one with a custom derivative cannot be pickled otherwise.
        module, name = (getattr(self.max_fun, part, None) for part in ("__module__", "__qualname__"))
        named = getattr(sys.modules.get(str(module)), str(name), None) is self.max_fun
        return _restored, ((module, name) if named else self.max_fun,)


def _restored(origin: Callable[[Any], Any] | tuple[str, str]) -> _FenchelYoung:
    if isinstance(origin, tuple):
        return _FenchelYoung(getattr(importlib.import_module(origin[0]), origin[1]))
    return _FenchelYoung(origin)

"""The softmax of a row of logits, from its tiles: what a loss may know of it, and what it passes back.

The class of the label is kept apart from the others, so that a confident row costs the sum of its others and not a
difference. Where the entropy is asked for, the largest logits are kept apart from the rest for the same reason.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.numerics.linear_tiles import Head, Tiling, at_label, put_at_label
from jaxloss.numerics.safe import multiply_no_nan
from jaxloss.types import Array


class Softmax(NamedTuple):
    """What a loss may know of the softmax of one row; None is what it does not read.

    Attributes:
        surprisal: -log p of the label.
        complement: 1 - p of the label, as the sum of the others.
        mean_surprisal: The mean of -log p over all classes that may be chosen.
        entropy: The sum of -p log p.
        log_partition: log Z, the logsumexp of the logits.
    """

    surprisal: Any
    complement: Any
    mean_surprisal: Any
    entropy: Any
    log_partition: Any


@dataclass(frozen=True)
class Link:
    """The loss of one row, a function of its Softmax and of what else is given by name.

    Attributes:
        function: As its author wrote it.
        fixed: What it takes that is no array.
        reads: Which statistics it uses.
        dtype: Of its value.
    """

    function: Callable[..., Any]
    fixed: Mapping[str, Any] = field(hash=False)
    reads: frozenset[str]
    dtype: Any

    @classmethod
    def of(cls, function: Callable[..., Any], fixed: Mapping[str, Any], dtype: Any, given: Mapping[str, Any]) -> "Link":
        """Reads off the program of the function, at such arrays, which statistics it uses."""
        name = getattr(function, "__name__", type(function).__name__)
        softmax = Softmax(*[jax.ShapeDtypeStruct((), dtype)] * len(Softmax._fields))
        program = jax.make_jaxpr(lambda softmax, given: function(softmax, **fixed, **given))(softmax, given).jaxpr
        if [x.aval.shape for x in program.outvars] != [()]:
            shapes = ", ".join(str(x.aval.shape) for x in program.outvars)
            raise ValueError(f"{name} must return one number for one token, got shape {shapes or 'nothing'}.")
        used = {id(x) for equation in program.eqns for x in equation.invars} | {id(x) for x in program.outvars}
        reads = frozenset(n for n, x in zip(Softmax._fields, program.invars, strict=False) if id(x) in used)
        if not reads:
            raise ValueError(f"{name} must use its first argument, one of {', '.join(Softmax._fields)}; it uses none.")
        return cls(function, fixed, reads, dtype)

    def __call__(self, softmax: Softmax, given: Mapping[str, Any]) -> Array:
        return jnp.asarray(self.function(softmax, **self.fixed, **given)).astype(self.dtype)

    def values_and_slopes(
        self, softmax: Softmax, each: dict[str, Array], shared: dict[str, Array], wanted: frozenset[str]
    ) -> tuple[Array, tuple[Softmax, dict[str, Array]]]:
        """Of each row, and the slopes in its softmax and in what is wanted of that which is given."""
        given = each | shared
        moving = {name: x for name, x in given.items() if name in wanted}
        still = {name: x for name, x in given.items() if name not in wanted}

        def one_row(softmax: Softmax, moving: dict[str, Array], still: dict[str, Array]) -> Any:
            return self(softmax, moving | still)

        axes = [{name: 0 if name in each else None for name in part} for part in (moving, still)]
        return jax.vmap(jax.value_and_grad(one_row, (0, 1)), (0, *axes))(softmax, moving, still)


class Rows(NamedTuple):
    """Of each row: the largest logit but the label's, the sum of exp(logit - largest) of all but the label, the logit
    of the label (-inf as long as it was not met), and the sum of all but the label that are possible.

    For an entropy `others` is the sum of those below the largest, `ties` that of those as large, and `moment` the sum
    of (largest - logit) exp(logit - largest). What is not needed is None.
    """

    largest: Array
    others: Array
    label: Array
    total: Array | None
    ties: Array | None
    moment: Array | None


class Shares(NamedTuple):
    """Of each row: whether the label may be chosen, the largest logit and how far below it the label is and the mean of
    all (or None), the sum of exp(logit - largest), the probability of the label, and that of the others.
    """

    possible: Array
    largest: Array
    gap: Array
    mean_gap: Array | None
    total: Array
    probability: Array
    complement: Array


class Pull(NamedTuple):
    """What the gradient of each row is made of: (scale + bend * (largest - logit - mean_gap)) * exp(logit - largest)
    - shift, and at the label `label`.
    """

    scale: Array
    largest: Array
    bend: Array | None
    mean_gap: Array | None
    shift: Array | None
    label: Array


def no_rows_yet(link: Link, count: int, dtype: Any) -> Rows:
    """The statistics of no tile; the largest is the lowest finite number, as two infinities have no difference."""
    zeros = jnp.zeros(count, dtype)
    by_entropy = zeros if "entropy" in link.reads else None
    total = zeros if "mean_surprisal" in link.reads else None
    lowest, unmet = (jnp.full(count, x, dtype) for x in (jnp.finfo(dtype).min, -jnp.inf))
    return Rows(lowest, zeros, unmet, total, by_entropy, by_entropy)


def add_tile(tiling: Tiling, rows: Rows, tile: Array, column: Array) -> Rows:
    """What the rows know after one more tile."""
    label = at_label(tiling, tile, column)
    # Never more than -inf. As it depends on the label, the tile is read before it is changed, and changed in place.
    tile = put_at_label(tiling, tile, column, jnp.minimum(label, -jnp.inf))
    largest = jax.lax.stop_gradient(jnp.maximum(rows.largest, jnp.max(tile, axis=1)))
    rows = rebased(rows, largest)._replace(label=jnp.maximum(rows.label, label))
    exponentials = jnp.exp(tile - largest[:, None])
    if rows.total is not None:
        rows = rows._replace(total=rows.total + jnp.sum(jnp.where(tile != -jnp.inf, tile, 0), axis=1))
    if rows.ties is None or rows.moment is None:
        return rows._replace(others=rows.others + jnp.sum(exponentials, axis=1))
    ties = jnp.where(tile == largest[:, None], exponentials, 0)
    rest = jnp.where(tile == largest[:, None], 0, exponentials)
    gaps = jnp.where(tile != -jnp.inf, largest[:, None] - tile, 0)
    return rows._replace(
        others=rows.others + jnp.sum(rest, axis=1),
        ties=rows.ties + jnp.sum(ties, axis=1),
        moment=rows.moment + jnp.sum(gaps * exponentials, axis=1),
    )


def rebased(rows: Rows, largest: Array) -> Rows:
    """The same, their sums taken against another logit at least as large."""
    factor = jnp.exp(rows.largest - largest)
    if rows.ties is None or rows.moment is None:
        return rows._replace(largest=largest, others=rows.others * factor)
    moved = (rows.largest != largest).astype(factor.dtype)
    everything = rows.others + rows.ties
    return rows._replace(
        largest=largest,
        others=(rows.others + moved * rows.ties) * factor,
        ties=(1 - moved) * rows.ties,
        moment=rows.moment * factor + multiply_no_nan(everything * factor, largest - rows.largest),
    )


def softmax_of(link: Link, rows: Rows, classes: Array) -> tuple[Softmax, Shares]:
    """What the link reads of whole rows, of so many possible classes each, and what their gradient needs beside."""
    rows = rebased(rows, jax.lax.stop_gradient(jnp.maximum(rows.largest, rows.label)))
    others = rows.others if rows.ties is None else rows.others + rows.ties
    possible = rows.label != -jnp.inf
    gap = jnp.where(possible, rows.largest - rows.label, jnp.inf)
    own = jnp.exp(-gap)
    # 1 + excess is the sum of all, and never less than 1, but where no class is possible.
    excess = others + jnp.expm1(-gap)
    if rows.ties is not None:
        excess = rows.others + jnp.where(rows.ties > 0, (rows.ties - 1) + own, jnp.expm1(-gap))
    excess = jnp.where(excess < 0, 0, excess)
    total, log_total = 1 + excess, jnp.log1p(excess)
    mean_surprisal = mean_gap = entropy = None
    if rows.total is not None:
        mean_surprisal = (rows.largest - (rows.total + jnp.where(possible, rows.label, 0)) / classes) + log_total
    if rows.moment is not None:
        mean_gap = (rows.moment + multiply_no_nan(own, gap)) / total
        entropy = mean_gap + log_total
    shares = Shares(possible, rows.largest, gap, mean_gap, total, own / total, others / total)
    known = Softmax(gap + log_total, shares.complement, mean_surprisal, entropy, rows.largest + log_total)
    return Softmax(*(x if name in link.reads else None for name, x in known._asdict().items())), shares


def pull_of(shares: Shares, slopes: Softmax, weights: Array, classes: Array) -> Pull:
    """What the gradient of the rows is made of, from the slopes of the loss in the softmax.

    In the logits, surprisal and complement have the slopes p - e and p_y (p - e), where e is 1 at the label and else 0;
    mean surprisal has p - 1/k, entropy p (largest - logit - mean_gap), and the log-partition p.
    """
    given = slopes
    slopes = Softmax(*(0.0 if x is None else x for x in given))
    away = slopes.surprisal + multiply_no_nan(shares.probability, slopes.complement)
    scale = away + slopes.mean_surprisal + slopes.log_partition
    at_label = slopes.log_partition * shares.probability - (away + slopes.mean_surprisal) * shares.complement
    shift = bend = None
    if given.mean_surprisal is not None:
        at_label = at_label + slopes.mean_surprisal * (1 - 1 / classes)
        shift = weights * slopes.mean_surprisal / classes
    if given.entropy is not None and shares.mean_gap is not None:
        gap = jnp.where(shares.possible, shares.gap, 0)
        at_label = at_label + slopes.entropy * shares.probability * (gap - shares.mean_gap)
        bend = weights * slopes.entropy / shares.total
    at_label = jnp.where(shares.possible, weights * at_label, 0)
    return Pull(weights * scale / shares.total, shares.largest, bend, shares.mean_gap, shift, at_label)


def gradient_of(tiling: Tiling, head: Head, pull: Pull, tile: Array, column: Array) -> tuple[Array, Array | None]:
    """The gradient of the cost in the logits of a tile before the cap, and the sum of that in the cap."""
    scale = pull.scale[:, None]
    if pull.bend is not None and pull.mean_gap is not None:
        gaps = jnp.where(tile != -jnp.inf, pull.largest[:, None] - tile, 0)
        scale = scale + pull.bend[:, None] * (gaps - pull.mean_gap[:, None])
    slope = scale * jnp.exp(tile - pull.largest[:, None])
    if pull.shift is not None:
        slope = slope - pull.shift[:, None]
        if head.possible is not None:
            slope = jnp.where(tile != -jnp.inf, slope, 0)
    slope = put_at_label(tiling, slope, column, pull.label)
    if head.softcap is None:
        return slope, None
    share = tile / head.softcap
    if head.possible is not None:
        share = jnp.where(tile != -jnp.inf, share, 0)
    bent = 1 - jnp.square(share)
    in_cap = share - jnp.where(bent > 0, jnp.arctanh(jnp.where(bent > 0, share, 0)) * bent, 0)
    return slope * bent, jnp.sum(slope * in_cap)

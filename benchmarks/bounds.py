"""What a loss may move and keep on a chip: law 17 in numbers, one place for the table and for the tests."""

from typing import NamedTuple

import jax.numpy as jnp
from compiled import Program
from works import DENSE, INTEGER, Work, size

MIB = 2**20


class Bound(NamedTuple):
    """One thing that was found, how much of it is allowed, and how much the plain formula has."""

    what: str
    found: float
    allowed: float
    plain: float | None

    @property
    def held(self) -> bool:
        return self.found <= self.allowed

    def __str__(self) -> str:
        return f"{self.what} {self.found / MIB:.1f} MiB, allowed {self.allowed / MIB:.1f}"


# Of the limit, for the value and for value and gradient: those that read their rows once, and once more for the slope.
ONE_READING = {INTEGER: (1.06, 1.6), DENSE: (1.06, 1.75)}
# Of the plain formula: distances read their rows once more for their scale, so that 1e-30 and 1e20 have a distance.
SCALED = {("cosine_distance", "tpu"): (1.15, 1.15), ("cosine_distance", "h100"): (2.005, 1.405)}
SCALED |= {("triplet", chip): (2.0, 1.45) for chip in ("tpu", "h100")}
SLACK = 1.02
FEW_CLASSES = 100  # below these the numbers of a row weigh as much as the row, and the plain formula is the measure
# What a row costs beside its entries, in float32: at 10 classes each is a tenth of the logits. Three are carried by the
# sweep of a row, others are a masked label, the factors of its slope, and the coefficient that a mask or weight makes.
KEPT_OF_A_ROW = 7
MOVED_OF_A_ROW = 8  # for the value, and as many for a gradient: each is written by one kernel and read by another
MOVED_OF_A_MASKED_ROW = 14  # more than of a row; XLA's count for a TPU has some of them twice


def bounds(chip: str, work: Work, gradient: bool, ours: Program, plain: Program) -> list[Bound]:
    """What is allowed to a call without mask and weights."""
    limit = work.limit(gradient)
    counted = SLACK * (plain.counted if work.rows else limit)
    moved = SLACK * (plain.moved if work.rows else limit)
    one_reading = ONE_READING.get(work.loss) if not work.options and work.first.shape[-1] >= FEW_CLASSES else None
    if one_reading:
        counted = moved = one_reading[gradient] * limit + of_rows(work, MOVED_OF_A_ROW * (1 + gradient))
    elif (work.loss, chip) in SCALED:
        share = SCALED[work.loss, chip][gradient]
        counted, moved = share * plain.counted, share * plain.moved
    elif work.loss == "energy_score":
        counted, moved = counted + work.limit(False), moved + work.limit(False)
    # XLA's count for a TPU has an array three times that is fetched ahead into the vector memory: no measure for a
    # limit, but the plain formula is counted so, too. What really moves there depends on what happens to fit.
    by_count = Bound("bytes", ours.counted, counted, plain.counted)
    by_what_moves = Bound("bytes that really move", ours.moved, moved, plain.moved)
    if chip == "h100":
        return [by_count, by_what_moves, kept(work, ours, plain)]
    return [by_what_moves if one_reading or not work.rows else by_count, kept(work, ours, plain)]


def kept(work: Work, ours: Program, plain: Program | None) -> Bound:
    """No temporary as large as an eighth of an input, beside the numbers of its rows."""
    half = work.loss == "kl_divergence_with_logits" and work.first.dtype == jnp.bfloat16
    largest = max(map(size, work.arrays.values()))
    allowed = largest / (2 if half else 8) + of_rows(work, KEPT_OF_A_ROW)
    return Bound("temporaries", ours.kept, allowed, plain and plain.kept)


def of_rows(work: Work, numbers: int) -> float:
    """The bytes of so many float32 for each row; nothing for an elementwise loss."""
    return 4 * numbers * work.first.size / work.first.shape[-1] if work.rows else 0


def bounds_of_extra(
    chip: str, work: Work, gradient: bool, ours: Program, without: Program, plain: Program | None
) -> list[Bound]:
    """What is allowed with a mask or weights: their own bytes more, or what the plain formula moves with them.

    They are read once for the value and twice for a gradient, since their sum divides it; and the numbers of a row are
    more with them. XLA's count for a TPU has an array twice that a kernel reads once but uses in two sums, and of
    16-bit arrays more: there the plain formula, counted alike, is the measure, or for a limit what really moves.
    """
    more = 2 * size(work.arrays[work.extra]) + (SLACK - 1) * work.limit(gradient) + of_rows(work, MOVED_OF_A_MASKED_ROW)
    if chip == "tpu" and not work.rows:
        found, allowed = ours.moved, without.moved + more
    else:
        found, allowed = ours.counted, without.counted + more
    if plain is not None:
        allowed = max(allowed, SLACK * plain.counted)
    return [Bound(f"bytes with {work.extra}", found, allowed, plain and plain.counted), kept(work, ours, plain)]

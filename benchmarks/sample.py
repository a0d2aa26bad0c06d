"""The sample of what is compiled for the chips that `make test-chips` holds to the bounds, and `--quick` measures."""

import jax.numpy as jnp
from works import DENSE, INTEGER, VARIANTS, Work, work

# The loss, the dtype of its arrays, and "where" or "weights" if the call has them.
ROWS: tuple[tuple[str, str, str], ...] = (
    ("huber", "float32", ""),
    ("huber", "bfloat16", ""),
    ("huber", "float32", "where"),
    ("huber", "bfloat16", "where"),
    ("huber", "float32", "weights"),
    ("huber", "bfloat16", "weights"),
    ("log_cosh", "float32", ""),
    ("gaussian_nll", "float32", ""),
    ("gaussian_nll", "bfloat16", ""),
    ("poisson_nll", "float32", ""),
    ("sigmoid_binary_cross_entropy", "float32", ""),
    ("sigmoid_binary_cross_entropy", "bfloat16", ""),
    ("sigmoid_focal", "float32", ""),
    ("hinge", "bfloat16", ""),
    ("gaussian_kl_divergence", "float32", ""),
    # Their slopes share nothing with the value that a GPU would write to memory.
    ("general_robust", "bfloat16", ""),
    ("squared_log_error", "bfloat16", ""),
    ("total_variation_distance", "bfloat16", ""),
    ("ordinal_cross_entropy", "float32", ""),
    ("ordinal_cross_entropy", "bfloat16", ""),
    (INTEGER, "float32", ""),
    (INTEGER, "bfloat16", ""),
    (INTEGER, "float32", "where"),
    (INTEGER, "bfloat16", "weights"),
    (DENSE, "float32", ""),
    (DENSE, "bfloat16", ""),
    ("softmax_focal", "float32", ""),
    ("poly_cross_entropy", "float32", ""),
    ("kl_divergence", "float32", ""),
    ("kl_divergence", "bfloat16", "where"),
    ("kl_divergence_with_logits", "float32", ""),
    ("kl_divergence_with_logits", "bfloat16", ""),
    ("jensen_shannon_divergence", "float32", ""),
    ("multiclass_hinge", "float32", ""),
    ("cosine_distance", "float32", ""),
    ("triplet", "float32", ""),
    ("dice", "float32", ""),
)
SMOOTH = next(given for loss, given in VARIANTS if loss == INTEGER and "label_smoothing" in given.get("options", {}))


def sample() -> list[Work]:
    """The works of the sample."""
    rows = [work(loss, jnp.dtype(dtype), extra=extra) for loss, dtype, extra in ROWS]
    return [*rows, work(INTEGER, jnp.float32, **SMOOTH)]


SAMPLE = {(str(work), work.first.dtype.name, work.extra) for work in sample()}

"""Distillation: a student is to say what its teacher says. The student comes first, as predictions do."""

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import is_at, nan_unless, pick
from jaxloss.numerics.softmax import logsumexp
from jaxloss.numerics.softplus import log1mexp
from jaxloss.numerics.two_softmaxes import compare
from jaxloss.types import Array, Input, Positive


@custom_loss(signature="(k),(k)->()", stand_in=0.5)
def distillation(student_logits: Input, teacher_logits: Input, *, temperature: Positive = 1.0) -> Array:
    r"""The divergence of a student from its teacher, both softened, in units in which its gradient keeps its size.

    $$ T^2 D(p \,\|\, q), \qquad
       p = \operatorname{softmax}(x_\text{teacher} / T), \quad q = \operatorname{softmax}(x_\text{student} / T) $$

    A mix with the cross entropy of labels is a sum of two tallies' means. The reverse divergence is
    `kl_divergence_with_logits`, student first.

    Args:
        student_logits: `[..., k]`.
        teacher_logits: `[..., k]`, over the same classes.
        temperature: T, > 0. The factor T^2 keeps the size of the gradient, whatever T.

    Corners: 0 with gradient 0 where both say the same, and right beside it. A class of logit -inf in both, or in the
    teacher's, has no gradient; one in the student's alone costs inf, and the gradient is finite.

    Raises:
        ValueError: `temperature` is not > 0.

    Source: Hinton et al. (2015), Distilling the knowledge in a neural network, section 2.

    >>> import jax.numpy as jnp
    >>> teacher, student = jnp.array([2.0, 1.0, 0.5]), jnp.array([1.0, 0.0, -1.0])
    >>> print(f"{distillation(student, teacher):.6f} {distillation(student, teacher, temperature=2.0):.6f}")
    0.013359 0.020948
    """
    plain = isinstance(temperature, int | float) and temperature == 1
    pair = compare(teacher_logits, student_logits, None if plain else jnp.asarray(temperature, student_logits.dtype))
    return pair.value[0] * temperature**2


@custom_loss(signature="(v),(k),(k)->()", stand_in={"student_logits": 0.5, "teacher_log_probabilities": -20.0})
def top_k_distillation(
    student_logits: Input, teacher_log_probabilities: Input, labels: Input, *, tail: str = "bucket"
) -> Array:
    r"""The divergence of a student from the k classes that were kept of its teacher, and from all the others as one.

    $$ \sum_{i=0}^{k} p_i \log \frac{p_i}{q_i}, \qquad p_0 = 1 - \sum_{i=1}^{k} p_i, \quad
       q_i = \operatorname{softmax}(x)_{y_i}, \quad q_0 = 1 - \sum_{i=1}^{k} q_i $$

    It is at least 0, and at most the divergence of the whole rows.

    Args:
        student_logits: x, `[..., v]`.
        teacher_log_probabilities: log p, `[..., k]`, of the k classes, in the teacher's whole row.
        labels: y, `[..., k]`, integers from 0 to v - 1, each once.
        tail: "bucket" as above; "renormalize" divides the probabilities of the k classes by their sums, in both.

    Corners: where k = v there are no others. Where the teacher's probabilities add up to 1 or more, nothing is left
    for the others. Labels outside 0 to v - 1 and repeated ones give NaN.

    Raises:
        TypeError: The labels are not integers.
        ValueError: `tail` is an unknown name.

    Source: Hinton et al. (2015), Distilling the knowledge in a neural network, section 2, of k + 1 outcomes.

    >>> import jax.numpy as jnp
    >>> student, labels = jnp.array([1.0, 0.5, -1.0, 0.5]), jnp.array([0, 1])
    >>> teacher = jnp.array([-0.546006, -1.546006])
    >>> bucket, renormalized = (top_k_distillation(student, teacher, labels, tail=t) for t in ("bucket", "renormalize"))
    >>> print(f"{bucket:.6f} {renormalized:.6f}")
    0.050151 0.026345
    """
    if tail not in ("bucket", "renormalize"):
        raise ValueError(f"top_k_distillation: tail must be bucket or renormalize, got {tail!r}.")
    given = jax.vmap(is_at, (None, 0))(student_logits, labels)
    teacher, student = teacher_log_probabilities, jax.vmap(pick, (None, 0))(student_logits, labels)
    if tail == "bucket" and given.shape[0] < given.shape[1]:
        others = logsumexp(jnp.where(jnp.any(given, axis=0), -jnp.inf, student_logits))
        surprisal = -logsumexp(teacher)
        left = jnp.where(surprisal > 0, log1mexp(jnp.where(surprisal > 0, surprisal, 1)), -jnp.inf)
        teacher, student = jnp.append(teacher, left), jnp.append(student, others)
    once = jnp.all(jnp.sum(given, axis=0, dtype=student.dtype) < 2)
    return compare(teacher, student, None).value[0] + nan_unless(once, student.dtype)

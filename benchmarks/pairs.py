"""Which loss of which peer does the work of which loss of ours, and the data they do it on."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from protocol import PEERS, module_of

# ------------------------------------------------------------------------------------------------------ the same work


class Sizes(NamedTuple):
    """How many elements, and how they are cut into rows where a loss takes rows."""

    elements: int
    classes: int

    @property
    def rows(self) -> int:
        return self.elements // self.classes


def _distribution(random: np.random.Generator, rows: int, classes: int) -> np.ndarray:
    raw = np.exp(random.normal(size=(rows, classes)))
    return raw / raw.sum(axis=-1, keepdims=True)


def data(sizes: Sizes, kind: str) -> tuple[np.ndarray, ...]:
    """The arrays of one kind of loss; the gradient is taken in the first."""
    random = np.random.default_rng(0)
    n, rows, classes = sizes.elements, sizes.rows, sizes.classes
    logits = 3 * random.normal(size=(rows, classes))
    labels = random.integers(0, classes, rows).astype(np.int32)
    coin = random.integers(0, 2, n)
    kinds: dict[str, Callable[[], tuple[Any, ...]]] = {
        "errors": lambda: (2 * random.normal(size=n), 2 * random.normal(size=n)),
        "amounts": lambda: (random.gamma(2.0, size=n), random.gamma(2.0, size=n) + 0.1),
        "counts": lambda: (random.normal(size=n), random.poisson(2.0, n)),
        "gaussian": lambda: (random.normal(size=n), random.normal(size=n), random.normal(size=n)),
        "logits, targets": lambda: (3 * random.normal(size=n), coin),
        "logits, integers": lambda: (3 * random.normal(size=n), coin.astype(np.int32)),
        "probabilities, targets": lambda: (random.uniform(0.01, 0.99, n), coin),
        "scores, signs": lambda: (2 * random.normal(size=n), 2 * coin - 1),
        "rows, targets": lambda: (logits, _distribution(random, rows, classes)),
        "rows, one-hot": lambda: (logits, np.eye(classes)[labels]),
        "rows, labels": lambda: (logits, labels),
        "distribution, targets": lambda: (
            _distribution(random, rows, classes),
            _distribution(random, rows, classes),
        ),
        "distribution, labels": lambda: (_distribution(random, rows, classes), labels),
        "vectors": lambda: (random.normal(size=(rows, classes)), random.normal(size=(rows, classes))),
        "triplets": lambda: tuple(random.normal(size=(rows, classes)) for _ in range(3)),
    }
    return tuple(x if x.dtype == np.int32 else x.astype(np.float32) for x in kinds[kind]())


# ---------------------------------------------------------------------------------------------------------- the pairs


class Pair(NamedTuple):
    """What each peer calls a loss: an expression in its package (`F` is torch.nn.functional), of the arrays a, b, c.

    `ours` says how ours takes the arrays, where that is another order.
    """

    kind: str
    optax: str = ""
    torch: str = ""
    keras: str = ""
    rax: str = ""
    ours: str = "loss(a, b)"


PAIRS: dict[str, Pair] = {
    "squared_error": Pair(
        "errors", "optax.squared_error(a, b)", "F.mse_loss(a, b)", "keras.losses.mean_squared_error(b, a)"
    ),
    "absolute_error": Pair("errors", "", "F.l1_loss(a, b)", "keras.losses.mean_absolute_error(b, a)"),
    "huber": Pair("errors", "optax.huber_loss(a, b)", "F.huber_loss(a, b)", "keras.losses.huber(b, a)"),
    "smooth_l1": Pair("errors", "", "F.smooth_l1_loss(a, b)"),
    "log_cosh": Pair("errors", "optax.log_cosh(a, b)", "", "keras.losses.log_cosh(b, a)"),
    "squared_log_error": Pair(
        "amounts",
        keras="keras.losses.mean_squared_logarithmic_error(b, a)",
    ),
    "absolute_percentage_error": Pair(
        "amounts",
        keras="keras.losses.mean_absolute_percentage_error(b, a)",
    ),
    "poisson_nll": Pair("counts", "", "F.poisson_nll_loss(a, b, full=True)"),
    "gaussian_nll": Pair("gaussian", "", "F.gaussian_nll_loss(a, b, c.exp())", ours="loss(a, b, c)"),
    "binary_cross_entropy": Pair(
        "probabilities, targets", "", "F.binary_cross_entropy(a, b)", "keras.losses.binary_crossentropy(b, a)"
    ),
    "sigmoid_binary_cross_entropy": Pair(
        "logits, targets",
        "optax.sigmoid_binary_cross_entropy(a, b)",
        "F.binary_cross_entropy_with_logits(a, b)",
        "keras.losses.binary_crossentropy(b, a, from_logits=True)",
        "rax.pointwise_sigmoid_loss(a[None], b[None])",
    ),
    "binary_focal": Pair(
        "probabilities, targets",
        keras="keras.losses.binary_focal_crossentropy(b, a, apply_class_balancing=True)",
    ),
    "sigmoid_focal": Pair(
        "logits, targets",
        "optax.sigmoid_focal_loss(a, b)",
        keras="keras.losses.binary_focal_crossentropy(b, a, from_logits=True)",
    ),
    "hinge": Pair(
        "scores, signs",
        "optax.hinge_loss(a, b)",
        "",
        "keras.losses.hinge(b, a)",
    ),
    "squared_hinge": Pair("scores, signs", keras="keras.losses.squared_hinge(b, a)"),
    "perceptron": Pair("scores, signs", "optax.perceptron_loss(a, b)"),
    "sparsemax": Pair("logits, integers", "optax.sparsemax_loss(a, b)"),
    "softmax_cross_entropy": Pair(
        "rows, targets",
        "optax.softmax_cross_entropy(a, b)",
        "F.cross_entropy(a, b)",
        "keras.losses.categorical_crossentropy(b, a, from_logits=True)",
        "rax.softmax_loss(a, b)",
    ),
    "softmax_cross_entropy_with_integer_labels": Pair(
        "rows, labels",
        "optax.softmax_cross_entropy_with_integer_labels(a, b)",
        "F.cross_entropy(a, b.long())",
        "keras.losses.sparse_categorical_crossentropy(b, a, from_logits=True)",
    ),
    "categorical_cross_entropy": Pair("distribution, targets", keras="keras.losses.categorical_crossentropy(b, a)"),
    "sparse_categorical_cross_entropy": Pair(
        "distribution, labels",
        torch="F.nll_loss(a.log(), b.long())",
        keras="keras.losses.sparse_categorical_crossentropy(b, a)",
    ),
    "poly_cross_entropy": Pair("rows, targets", "optax.poly_loss_cross_entropy(a, b)"),
    "multiclass_hinge": Pair("rows, labels", "optax.multiclass_hinge_loss(a, b)"),
    "multiclass_perceptron": Pair(
        "rows, labels",
        "optax.multiclass_perceptron_loss(a, b)",
    ),
    "multiclass_sparsemax": Pair("rows, labels", "optax.multiclass_sparsemax_loss(a, b)"),
    "kl_divergence": Pair(
        "distribution, targets",
        "optax.kl_divergence(jnp.log(a), b)",
        "F.kl_div(a.log(), b, reduction='batchmean')",
        "keras.losses.kl_divergence(b, a)",
        ours="loss(b, a)",
    ),
    "generalized_kl_divergence": Pair(
        "distribution, targets",
        "optax.generalized_kl_divergence(jnp.log(a), b)",
        ours="loss(b, a)",
    ),
    "kl_divergence_with_logits": Pair(
        "rows, targets",
        "optax.kl_divergence(jax.nn.log_softmax(a), jax.nn.softmax(b))",
        "F.kl_div(F.log_softmax(a, -1), F.softmax(b, -1), reduction='batchmean')",
        ours="loss(b, a)",
    ),
    "cosine_distance": Pair(
        "vectors",
        "optax.cosine_distance(a, b)",
        "1 - F.cosine_similarity(a, b)",
    ),
    "triplet": Pair(
        "triplets",
        "optax.triplet_margin_loss(a, b, c, margin=0.2)",
        "F.triplet_margin_loss(a, b, c, margin=0.2)",
        ours="loss(a, b, c)",
    ),
}
"""The one table of who has what: the names are those of `jaxloss.catalogue`."""


def jax_cost(expression: str, **names: Any) -> Callable[..., jax.Array]:
    """The cost that an expression means, as a function of the arrays."""
    code = compile(expression, "<pair>", "eval")
    peers = {name: module_of(name) for name in PEERS if name in expression}
    scope = {**peers, "jax": jax, "jnp": jnp, "optax": optax.losses, **names}
    where = scope.get("where")
    return lambda *arrays: jnp.mean(eval(code, scope, dict(zip("abc", arrays, strict=False))), where=where)


def torch_run(expression: str, arrays: tuple[np.ndarray, ...], gradient: bool) -> Callable[[], None]:
    """What takes torch through an expression once, and through its gradient."""
    code = compile(expression, "<pair>", "eval")
    torch = module_of("torch")
    scope = {"torch": torch, "F": torch.nn.functional}
    tensors = [torch.from_numpy(array.copy()) for array in arrays]

    def run() -> None:
        tensors[0].grad = None
        with torch.set_grad_enabled(gradient):
            tensors[0].requires_grad_(gradient)
            cost = torch.mean(eval(code, scope, dict(zip("abc", tensors, strict=False))))
            if gradient:
                cost.backward()
        cost.item()

    return run

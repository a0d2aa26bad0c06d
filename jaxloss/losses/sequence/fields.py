"""Conditional random fields: scores of labels and of one label after another."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import entry, is_class, nan_unless
from jaxloss.numerics.lattice import alike, log_sum, relative, shares
from jaxloss.numerics.softplus import softplus
from jaxloss.types import Array, Input


@custom_loss(signature="(t,k),(t),(k,k),(k),(k),(t)->()", stand_in=0.0)
def crf(
    logits: Input, labels: Input, transitions: Input, start: Input = None, end: Input = None, token_mask: Input = None
) -> Array:
    r"""The negative log-likelihood of a sequence of labels under a linear-chain conditional random field.

    $$ \log \sum_{y'} e^{s(y')} - s(y), \qquad
       s(y) = b_{y_1} + \sum_t x_{t, y_t} + \sum_t A_{y_{t-1}, y_t} + c_{y_T} $$

    Args:
        logits: `[..., t, k]`, x, a row for each token. Neither of these axes may be sharded.
        labels: `[..., t]`, y, a class for each token.
        transitions: `[k, k]`, A, the score of class j after class i in row i and column j; -inf forbids it.
        start: `[k]`, b, the scores of the first label, 0 by default.
        end: `[k]`, c, the scores of the last one, 0 by default.
        token_mask: `[..., t]`, True for the tokens of the sequence, all by default. It may have holes: the tokens that
            are left follow each other.

    It is the sum over the tokens, not divided by their number. The gradients are the marginals, and the expected
    counts of the transitions, less those of the labels. Memory is that of t k numbers.

    It is formed as the sum over the tokens of -log p(y_t | y_1 ... y_{t-1}), so that a sequence that is nearly sure
    costs 1e-9 when it should.

    Corners: labels on a forbidden transition cost inf, with gradient 0. With every token deleted it is 0 with gradient
    0, and counts in the mean; `where=token_mask.any(-1)` leaves such a sequence out. A label that is no class is NaN.

    Source: Lafferty et al. (2001), Conditional random fields, equation 1.

    >>> import jax.numpy as jnp
    >>> logits, labels = jnp.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), jnp.array([0, 1, 1])
    >>> transitions = jnp.array([[0.5, -0.5], [0.0, 1.0]])
    >>> print(f"{crf(logits, labels, transitions):.6f}")
    1.385406
    >>> print(f"{crf(logits, labels, transitions, jnp.array([0.2, 0.0]), jnp.array([0.0, -0.3])):.6f}")
    1.378782
    """
    length, classes = logits.shape
    tokens = jnp.ones(length, bool) if token_mask is None else token_mask
    valid = ~tokens | is_class(labels, classes)
    none = jnp.zeros_like(transitions[0])
    start, end = (none if scores is None else scores for scores in (start, end))
    labels = jnp.where(tokens & valid, labels, 0)
    return _nll(logits, transitions, start, end, labels, tokens) + nan_unless(jnp.all(valid), logits.dtype)


@jax.custom_jvp  # a sweep that makes its gradient on the way
def _nll(logits: Array, transitions: Array, start: Array, end: Array, labels: Array, tokens: Array) -> Array:
    return _backward(logits, transitions, start, end, labels, tokens, keep=False)[0]


@_nll.defjvp
def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
    logits, transitions, start, _, labels, tokens = primals
    nll, onwards = _backward(*primals, keep=True)
    marginals, counts = _forward(logits, transitions, start, labels, tokens, onwards)
    first, last = jnp.argmax(tokens), tokens.shape[0] - 1 - jnp.argmax(tokens[::-1])
    slopes = marginals, counts, marginals[first], marginals[last]
    changes = [jnp.sum(jnp.where(nll < jnp.inf, slope, 0) * dx) for slope, dx in zip(slopes, tangents, strict=False)]
    return nll, sum(changes[1:], start=changes[0])


def _backward(
    logits: Array, transitions: Array, start: Array, end: Array, labels: Array, tokens: Array, *, keep: bool
) -> tuple[Array, Any]:
    """The loss, and after each token the log of the sum over all that may follow a class there."""
    first, previous = _previous(labels, tokens)

    def step(carry: tuple[Array, Array], token: Any) -> Any:
        nll, onwards = carry
        logits, label, before, is_first, counts = token
        scores = logits + onwards
        from_before = entry(transitions.T, jnp.broadcast_to(before, scores.shape))
        cost = _surprisal(jnp.where(is_first, start, from_before) + scores, label)
        (reached,), _ = relative(log_sum(transitions + scores[None]))
        carry = nll + jnp.where(counts, cost, 0), jnp.where(counts, reached, onwards)
        return carry, onwards if keep else None

    inputs = logits, labels, previous, first, tokens
    carry = alike(jnp.zeros_like(logits, shape=()), logits), alike(end, logits)
    (nll, _), onwards = jax.lax.scan(step, carry, inputs, reverse=True)
    return nll, onwards


def _forward(
    logits: Array, transitions: Array, start: Array, labels: Array, tokens: Array, onwards: Array
) -> tuple[Array, Array]:
    """The probabilities of the classes of each token, and the expected counts of transitions, less those of labels."""
    first, previous = _previous(labels, tokens)
    place = jax.lax.iota(labels.dtype, transitions.shape[0])

    def step(carry: tuple[Array, Array], token: Any) -> Any:
        reached, counts = carry
        logits, onwards, label, before, is_first, is_there = token
        at_label, at_before = place == label, place == before
        pairs, alone = reached[:, None] + transitions + (logits + onwards)[None], start + logits + onwards
        (pairs,), (alone,) = shares(*relative(pairs)[0]), shares(*relative(alone)[0])
        marginal = _less_one(jnp.where(is_first, alone, jnp.sum(pairs, axis=0)), at_label)
        counts = counts + jnp.where(is_there & ~is_first, _less_one(pairs, at_before[:, None] & at_label[None]), 0)
        arrived = logits + jnp.where(is_first, start, log_sum((reached[:, None] + transitions).T))
        return (jnp.where(is_there, relative(arrived)[0][0], reached), counts), jnp.where(is_there, marginal, 0)

    inputs = logits, onwards, labels, previous, first, tokens
    carry = alike(jnp.zeros_like(start), logits), alike(jnp.zeros_like(transitions), logits)
    (_, counts), marginals = jax.lax.scan(step, carry, inputs)
    return marginals, counts


def _surprisal(scores: Array, label: Array) -> Array:
    """-log p of a label; by its gap to all others, which keeps 1e-9."""
    others = log_sum(jnp.where(jax.lax.iota(label.dtype, scores.shape[0]) == label, -jnp.inf, scores))
    impossible = scores[label] == -jnp.inf
    return jnp.where(impossible, jnp.inf, softplus(others - jnp.where(impossible, 0, scores[label])))


def _less_one(p: Array, at: Array) -> Array:
    """Probabilities, of which 1 is subtracted from one: minus the sum of all others, which does not cancel."""
    others = jnp.where(at, 0, p)
    return jnp.where(at, -jnp.sum(others), others)


def _previous(labels: Array, tokens: Array) -> tuple[Array, Array]:
    """Whether a token is the first that counts, and the label of the last one before it that does."""
    places = jax.lax.iota(jnp.int32, labels.shape[0])
    last = jax.lax.cummax(jnp.where(tokens, places, -1))
    before = jnp.concatenate([jnp.full_like(last, -1)[:1], last[:-1]])
    return before < 0, labels[before]

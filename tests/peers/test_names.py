"""The table of names is whole, true of the peers that are installed, and on the page as it is here."""

import functools
import inspect
import re

import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax
import pytest
import torch
import torch.nn.functional as F

import jaxloss
from jaxloss.names import INSTALLED
from jaxloss.names.installed import KERAS, OPTAX, TORCH
from jaxloss.names.read import READ
from peers.calls import CALLS, resolve
from peers.names import PAGE, page


def _functions(module):
    return {name for name, value in vars(module).items() if inspect.isfunction(value) and not name.startswith("_")}


def _losses_of_torch():
    """They live among all other functions of networks."""
    pattern = re.compile(r"loss|entropy|kl_div|similarity|distance")
    return {name for name in dir(F) if pattern.search(name) and not name.startswith("_")}


@pytest.mark.parametrize(
    ("library", "public"),
    [(OPTAX, _functions(optax.losses)), (TORCH, _losses_of_torch()), (KERAS, _functions(keras.losses))],
    ids=lambda x: getattr(x, "module", ""),
)
def test_every_public_name_has_its_row(library, public):
    rows = [name.theirs for name in library.names] + [theirs for theirs, _ in library.elsewhere]
    rows += [*library.not_yet, *library.no_losses]
    assert sorted(rows) == sorted(public)


NAMES = [(library, name) for library in INSTALLED for name in library.names]


@pytest.mark.parametrize(("library", "name"), NAMES, ids=[name.theirs for _, name in NAMES])
def test_a_name_is_a_loss(library, name):
    assert callable(resolve(f"{library.module}.{name.theirs}"))
    check_ours(name)


@pytest.mark.parametrize("name", [name for library in READ for name in library.names], ids=lambda name: name.theirs)
def test_a_name_that_was_read_is_a_loss(name):
    check_ours(name)


def check_ours(name):
    assert callable(functools.reduce(getattr, name.ours.split("."), jaxloss))
    outside_code = re.sub(r"`[^`]*`", "", name.mind)
    assert set(re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", outside_code)) <= set(jaxloss.catalogue)


def test_every_call_is_in_the_table():
    rows = {f"{library.module}.{name.theirs}": f"{name.ours}: {name.mind}" for library, name in NAMES}
    for call in CALLS:
        if call.library != "rax":
            assert re.search(rf"\b{call.ours}\b", rows[call.peer]), call.peer


def test_every_row_is_called():
    called = {call.peer for call in CALLS}
    left = [name.theirs for library, name in NAMES if f"{library.module}.{name.theirs}" not in called]
    # The first makes losses, the second is the old name of another, a distance is no loss; the head has a test below.
    # A circle loss couples a batch, where a call has items.
    others = ["make_fenchel_young_loss", "convex_kl_divergence", "linear_cross_entropy", "pairwise_distance", "circle"]
    assert left == others


def test_the_page_is_the_table():
    assert PAGE.read_text() == page(), "run `make names`"


# --------------------------------------------------------------------------------- what has no call of its own in CALLS

X = np.random.default_rng(3).normal(size=(6, 4)).astype(np.float32)


def test_fenchel_young_of_logsumexp():
    targets = np.eye(4, dtype=np.float32)[[0, 3, 1, 2, 0, 1]]
    theirs = optax.losses.make_fenchel_young_loss(jax.nn.logsumexp)(X, targets)
    ours = jaxloss.reduce(jaxloss.fenchel_young(jax.nn.logsumexp), "none")(X, targets)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_mean_over_classes_is_an_inner_step():
    targets = (X > 0.3).astype(np.float32)
    theirs = F.multilabel_soft_margin_loss(torch.tensor(X[::-1].copy()), torch.tensor(targets), reduction="none")
    mean_over_classes = jaxloss.reduce(jaxloss.sigmoid_binary_cross_entropy, axis=-1)
    ours = jaxloss.reduce(mean_over_classes, "none")(X[::-1], targets)
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-6)


def test_means_and_weights_of_torch():
    labels, class_weights = np.array([0, 3, 1, -100, 0, 1]), jnp.array([0.5, 1, 2, 3])
    theirs = F.cross_entropy(torch.tensor(X), torch.tensor(labels), torch.tensor(np.array(class_weights)))
    ours = jaxloss.softmax_cross_entropy_with_integer_labels(
        X, labels, where=labels != -100, weights=class_weights[labels]
    )
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-6)


def test_the_head_of_torch():
    kernel, labels = 0.1 * X.T @ X, np.array([0, 3, 1, 2, 0, 1])
    theirs = F.linear_cross_entropy(torch.tensor(X), torch.tensor(kernel.T), torch.tensor(labels), reduction="none")
    ours = jaxloss.reduce(jaxloss.linear_softmax_cross_entropy, "none")(X, labels, kernel)
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-5, atol=1e-6)  # theirs is a difference of logits


def test_sample_weights_of_keras():
    weights = np.float32([0.5, 1, 2, 3, 0, 1])
    mean = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
    with jax.numpy_rank_promotion("allow"):
        theirs = mean(jnp.zeros_like(X), jnp.asarray(X), sample_weight=jnp.asarray(weights))
    over_rows = jaxloss.reduce(jaxloss.squared_error, axis=-1)
    np.testing.assert_allclose(over_rows(X, np.zeros_like(X), weights=weights), theirs, rtol=1e-6)


def test_distance_of_torch():
    theirs = F.pairwise_distance(torch.tensor(X[0]), torch.tensor(X[1]), eps=0).numpy()
    np.testing.assert_allclose(jaxloss.numerics.euclidean_distance(X[0], X[1]), theirs, rtol=1e-6)


def test_poisson_of_torch_approximates_what_ours_has():
    """Its gradient in the rate is ours, its full value is off by what Stirling's formula leaves."""
    full = F.poisson_nll_loss(torch.tensor(np.log(3.0)), torch.tensor(5.0), full=True)
    np.testing.assert_allclose(full.numpy(), 2.27779, atol=1e-5)
    np.testing.assert_allclose(jaxloss.poisson_nll(np.float32(np.log(3.0)), 5.0), 2.29443, atol=1e-5)

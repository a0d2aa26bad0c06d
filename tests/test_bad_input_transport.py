"""Mistakes with the losses of sets of points and ordered classes: what each is told."""

import re

import numpy as np
import pytest

import jaxloss

LINE, PLANE, FEW = (np.ones(shape, np.float32) for shape in ((4,), (4, 2), (3, 2)))
SHARES = np.full((4, 3), 1 / 3, np.float32)


def call(loss, *arrays, **options):
    return lambda: loss(*arrays, **options)


MISTAKES = {
    # Shapes: sets of another batch, numbers where points are due, points of another dimension, masses of another set.
    "wasserstein_1d-batch": (
        ValueError,
        call(jaxloss.wasserstein_1d, PLANE, FEW),
        ("wasserstein_1d: p and q ", "(4, 2) and (3, 2)", "nothing is broadcast"),
    ),
    "energy_distance-numbers": (
        ValueError,
        call(jaxloss.energy_distance, LINE, LINE),
        ("energy_distance: p must have at least the axes (n, d)", "(4,)"),
    ),
    "mmd-dimension": (
        ValueError,
        call(jaxloss.mmd, PLANE, np.ones((3, 5), np.float32)),
        ("mmd: q has 5 along its axis 'd'", "where p has 2"),
    ),
    "wasserstein_1d-mass": (
        ValueError,
        call(jaxloss.wasserstein_1d, LINE, LINE, np.ones(3, np.float32)),
        ("wasserstein_1d: p_mass has 3 along its axis 'n'", "where p has 4"),
    ),
    "sliced_wasserstein-directions": (
        ValueError,
        call(jaxloss.sliced_wasserstein, PLANE, FEW, np.ones((5, 3), np.float32)),
        ("sliced_wasserstein: directions has 3 along its axis 'd'", "where p has 2"),
    ),
    "gaussian_wasserstein-shape": (
        ValueError,
        call(jaxloss.gaussian_wasserstein, LINE, LINE, LINE[:2], LINE),
        ("gaussian_wasserstein: p_mean and q_mean ", "(4,) and (2,)"),
    ),
    "ranked_probability_score-one-hot": (
        TypeError,
        call(jaxloss.ranked_probability_score, SHARES, SHARES),
        ("ranked_probability_score: labels must be integers", "jnp.argmax(labels, -1)"),
    ),
    "ranked_probability_score-floats": (
        TypeError,
        call(jaxloss.ranked_probability_score, SHARES, LINE),
        ("ranked_probability_score: labels must be integers", "labels.astype(int)"),
    ),
    # Words of SciPy, POT and geomloss.
    "wasserstein_1d-weights": (
        TypeError,
        call(jaxloss.wasserstein_1d, LINE, LINE, u_weights=LINE),
        ("wasserstein_1d has no argument 'u_weights'", "p_mass=u_weights"),
    ),
    "mmd-bandwidth": (
        TypeError,
        call(jaxloss.mmd, PLANE, FEW, bandwidth=2.0),
        ("mmd has no argument 'bandwidth'", "called 'scale'"),
    ),
    "mmd-mask": (
        TypeError,
        call(jaxloss.mmd, PLANE, FEW, mask=np.ones(4, bool)),
        ("mmd has no argument 'mask'", "p_mass leaves out slots"),
    ),
    "sliced_wasserstein-number": (
        TypeError,
        call(jaxloss.sliced_wasserstein, PLANE, FEW, n_projections=50),
        ("sliced_wasserstein has no argument 'n_projections'", "jax.random.normal(key, (50, d))"),
    ),
    # Options out of their range.
    "wasserstein_1d-order": (
        ValueError,
        call(jaxloss.wasserstein_1d, LINE, LINE, order=0.5),
        ("wasserstein_1d: order must be >= 1, got 0.5",),
    ),
    "sliced_wasserstein-order": (
        ValueError,
        call(jaxloss.sliced_wasserstein, PLANE, FEW, PLANE, order=0),
        ("sliced_wasserstein: order must be >= 1, got 0",),
    ),
    "mmd-kernel": (
        ValueError,
        call(jaxloss.mmd, PLANE, FEW, kernel="rbf"),
        ("mmd: kernel must be 'gaussian', 'laplacian' or a function of two points, got 'rbf'",),
    ),
    "mmd-scale": (
        ValueError,
        call(jaxloss.mmd, PLANE, FEW, scale=(1.0, 0.0)),
        ("mmd: scale must be a number > 0, or a tuple of such numbers, got (1.0, 0.0)",),
    ),
    "mmd-no-scale": (
        ValueError,
        call(jaxloss.mmd, PLANE, FEW, scale=()),
        ("mmd: scale must be a number > 0, or a tuple of such numbers, got ()",),
    ),
    "sinkhorn_divergence-reg": (
        TypeError,
        call(jaxloss.sinkhorn_divergence, PLANE, FEW, reg=0.1),
        ("sinkhorn_divergence has no argument 'reg'", "called 'epsilon'"),
    ),
    "sinkhorn_divergence-blur": (
        TypeError,
        call(jaxloss.sinkhorn_divergence, PLANE, FEW, blur=0.05),
        ("sinkhorn_divergence has no argument 'blur'", "epsilon=2 * blur**2"),
    ),
    "sinkhorn_divergence-epsilon": (
        ValueError,
        call(jaxloss.sinkhorn_divergence, PLANE, FEW, epsilon=0.0),
        ("sinkhorn_divergence: epsilon must be > 0, got 0.0",),
    ),
    "sinkhorn_divergence-cost": (
        ValueError,
        call(jaxloss.sinkhorn_divergence, PLANE, FEW, cost="sqeuclidean"),
        ("sinkhorn_divergence: cost must be 'squared_euclidean' or a function of two points, got 'sqeuclidean'",),
    ),
    "sinkhorn_divergence-iterations": (
        ValueError,
        call(jaxloss.sinkhorn_divergence, PLANE, FEW, iterations=0),
        ("sinkhorn_divergence: iterations must be a whole number >= 1, got 0",),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_a_sentence(name):
    error, mistaken, parts = MISTAKES[name]
    with pytest.raises(error) as caught:
        mistaken()
    message = str(caught.value)
    assert caught.type is error
    assert re.fullmatch(r"[^\n]*[.?]", message), message
    assert all(part in message for part in parts), message

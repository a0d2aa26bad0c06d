"""Transport: POT."""

import numpy as np
import ot

import jaxloss
from vision.row import Row


def _points(rng):
    return rng.normal(size=(9, 3)), rng.normal(size=(7, 3)) + 0.5


def _weighed(rng):
    return *_points(rng), *(rng.dirichlet(np.full(n, 3.0)) for n in (9, 7))


def _sinkhorn_of_pot(p, q, a, b):
    # The gradient of its iterations is that of the envelope once they have converged.
    options = {"reg": 1.0, "reg_type": "KL", "debias": True, "max_iter": 5000, "tol": 1e-13, "grad": "envelope"}
    return ot.solve_sample(p, q, a / a.sum(), b / b.sum(), **options).value


def _wasserstein_of_pot(order):
    return lambda p, q, a, b: ot.wasserstein_1d(p[:, 0], q[:, 0], a / a.sum(), b / b.sum(), p=order)


def _sliced_of_pot(p, q, directions):
    # It takes unit vectors as columns, and a root.
    directions = (directions / directions.norm(dim=1, keepdim=True)).T
    return ot.sliced_wasserstein_distance(p, q, projections=directions, p=2) ** 2


def _bures_of_pot(p_mean, p_log_variance, q_mean, q_log_variance):
    # It takes covariances, and a root.
    p, q = (log_variance.exp()[:, None, None] for log_variance in (p_log_variance, q_log_variance))
    distance = ot.gaussian.bures_wasserstein_distance(p_mean[:, None], q_mean[:, None], p, q, paired=True)
    return distance.square().mean()


TRANSPORT = (
    Row("sinkhorn_divergence-pot", jaxloss.sinkhorn_divergence, _sinkhorn_of_pot, _weighed, slopes=(0, 1, 2, 3)),
    *(
        Row(
            f"wasserstein_1d-order={order}-pot",
            lambda p, q, a, b, order=order: jaxloss.wasserstein_1d(p[:, 0], q[:, 0], a, b, order=order),
            _wasserstein_of_pot(order),
            _weighed,
            slopes=(0, 1, 2, 3),
        )
        for order in (1, 2, 3)
    ),
    Row(
        "sliced_wasserstein-pot",
        jaxloss.sliced_wasserstein,
        _sliced_of_pot,
        lambda rng: (*_points(rng), rng.normal(size=(6, 3))),
        slopes=(0, 1, 2),
    ),
    Row(
        "gaussian_wasserstein-pot",
        jaxloss.gaussian_wasserstein,
        _bures_of_pot,
        lambda rng: tuple(rng.normal(size=(4, 6))),
        slopes=(0, 1, 2, 3),
    ),
)

"""What the survival losses are known to be."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import jaxloss
from jaxloss import reduce

MU, SIGMA = 0.5, 0.8
LAWS = {
    "weibull": scipy.stats.weibull_min(1 / SIGMA, scale=np.exp(MU)),
    "lognormal": scipy.stats.lognorm(SIGMA, scale=np.exp(MU)),
    "loglogistic": scipy.stats.fisk(1 / SIGMA, scale=np.exp(MU)),
}


@pytest.mark.parametrize("name", LAWS)
def test_a_failure_time_has_the_likelihood_of_scipy(name):
    law, times = LAWS[name], np.array([0.1, 0.7, 2.0, 9.0])
    after = np.array([0.2, 3.0, 2.001, 20.0])
    cases = {
        "event": (times, times, -law.logpdf(times)),
        "later": (times, np.full(4, np.inf), -law.logsf(times)),
        "before": (np.zeros(4), times, -law.logcdf(times)),
        "between": (times, after, -np.log(law.cdf(after) - law.cdf(times))),
        "known nothing of": (np.zeros(4), np.full(4, np.inf), np.zeros(4)),
    }
    for what, (lower, upper, expected) in cases.items():
        found = reduce(jaxloss.aft_nll, "none")(
            np.full(4, MU), lower, upper, np.full(4, np.log(SIGMA)), distribution=name
        )
        np.testing.assert_allclose(found, expected, rtol=2e-5, err_msg=what)


def test_an_interval_that_ends_before_it_begins_is_no_interval():
    assert np.isnan(jaxloss.aft_nll(0.0, 3.0, 2.0, 0.0))


SUBJECTS = 12


@pytest.fixture
def study():
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(3, SUBJECTS)).astype(np.float32),
        rng.integers(1, 6, (3, SUBJECTS)).astype(np.float32),
        rng.integers(0, 2, (3, SUBJECTS)).astype(np.float32),
    )


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_the_order_of_tied_subjects_does_not_matter_to_cox(study, ties):
    shuffled = np.random.default_rng(1).permutation(SUBJECTS)
    cost = jax.jit(jax.value_and_grad(functools.partial(jaxloss.cox, ties=ties)))
    value, slope = cost(*study)
    other, other_slope = cost(*(a[:, shuffled] for a in study))
    np.testing.assert_allclose(value, other, rtol=1e-6)
    np.testing.assert_allclose(slope[:, shuffled], other_slope, atol=1e-7)


def test_weights_of_the_events_pool_the_strata_of_cox(study):
    hazards, times, events = study
    each = reduce(jaxloss.cox, "none")(*study)
    pooled = jaxloss.cox(hazards, times, events, weights=events.sum(-1))
    np.testing.assert_allclose(pooled, np.sum(each * events.sum(-1)) / events.sum(), rtol=1e-6)


def test_a_risk_set_without_an_event_costs_nothing(study):
    hazards, times, events = study
    value, slope = jax.jit(jax.value_and_grad(jaxloss.cox))(hazards, times, 0 * events)
    assert value == 0
    assert not np.any(slope)


def test_a_discrete_hazard_model_is_one_of_binary_labels():
    """An event in interval y is y zeros and a one, each with its own logit."""
    rng = np.random.default_rng(2)
    logits, labels, events = rng.normal(size=(20, 5)), rng.integers(0, 5, 20), rng.integers(0, 2, 20)
    interval = np.arange(5)
    targets = (interval == labels[:, None]) * events[:, None]
    binary = reduce(reduce(jaxloss.sigmoid_binary_cross_entropy, "sum", axis=-1), "none")(
        logits, targets, where=interval <= labels[:, None]
    )
    np.testing.assert_allclose(reduce(jaxloss.discrete_hazard_nll, "none")(logits, labels, events), binary, rtol=1e-6)


def test_the_probabilities_of_all_times_add_up():
    logits = np.random.default_rng(3).normal(size=5)
    nll = reduce(jaxloss.discrete_survival_nll, "none")
    events = [float(jnp.exp(-nll(logits, y, 1))) for y in range(5)]
    later = [float(jnp.exp(-nll(logits, y, 0))) for y in range(5)]
    np.testing.assert_allclose(np.cumsum(events) + later, 1, rtol=1e-6)


@pytest.mark.parametrize("loss", [jaxloss.cox, jaxloss.discrete_hazard_nll, jaxloss.discrete_survival_nll])
def test_an_event_is_seen_or_not(loss):
    labels = np.array([1.0, 2.0, 3.0]) if loss is jaxloss.cox else 1
    event = np.array([1.0, 0.5, 1.0]) if loss is jaxloss.cox else 0.5
    assert np.isnan(loss(np.array([0.1, 0.2, 0.3]), labels, event))


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"cox: ties must be 'efron' or 'breslow', got 'exact'"):
        jaxloss.cox(np.zeros(3), np.arange(3.0), np.ones(3), ties="exact")
    with pytest.raises(ValueError, match=r"aft_nll: distribution must be one of weibull, lognormal, loglogistic"):
        jaxloss.aft_nll(0.0, 1.0, 2.0, 0.0, distribution="normal")
    with pytest.raises(ValueError, match=r"multi_quantile: quantiles must be one for each of the 3 predictions"):
        jaxloss.multi_quantile(np.zeros(3), 0.0, quantiles=[0.1, 0.9])


def test_twice_the_mean_pinball_of_two_levels_is_the_interval_score():
    """Weighed by alpha / 2 (Bracher et al. 2021, equation 1)."""
    lower, upper, target = 1.0, 4.0, 5.0
    pinball = jaxloss.multi_quantile(np.array([lower, upper]), target, quantiles=[0.1, 0.9])
    np.testing.assert_allclose(
        2 * pinball, 0.5 * 0.2 * jaxloss.interval_score(lower, upper, target, alpha=0.2), rtol=1e-6
    )

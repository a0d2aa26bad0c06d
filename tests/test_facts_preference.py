"""What relates the preference and the generative losses to each other, to sums over tokens and to what others write."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from jaxloss import reduce

close = functools.partial(np.testing.assert_allclose, rtol=2e-6)
ppo_clip = jaxloss.ppo_clip

# ------------------------------------------------------------------------------------------------------ normalisations

NEW, OLD = np.float32([[-1.0, -2.0], [-0.5, 0.0]]), np.float32([[-1.1, -1.8], [-0.6, 0.0]])
ADVANTAGES = np.float32([[1.0, 1.0], [-1.0, -1.0]])
MASK = np.array([[True, True], [True, False]])
BATCH, LENGTH = 2, 4

NORMALISATIONS = {
    "tokens": (ppo_clip, -0.272910),
    "answers-of-means": (reduce(ppo_clip, axis=-1), 0.071610),
    "answers-of-sums": (reduce(ppo_clip, "sum", axis=-1), -0.409365),
    "constant-length": (
        reduce(reduce(ppo_clip, "sum", axis=-1), lambda tally: tally.numerator / (BATCH * LENGTH)),
        -0.102341,
    ),
    "count-known-before": (reduce(ppo_clip, lambda tally: tally.numerator / 3), -0.272910),
}


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_normalisation(name):
    loss, expected = NORMALISATIONS[name]

    def whole(new):
        return loss(new, OLD, ADVANTAGES, where=MASK)

    def in_parts(new):
        parts = (slice(0, 1), slice(1, 2))
        return loss.finish(sum(loss.tally(new[i], OLD[i], ADVANTAGES[i], where=MASK[i]) for i in parts))

    value, slope = jax.jit(jax.value_and_grad(whole))(NEW)
    of_parts, slope_of_parts = jax.jit(jax.value_and_grad(in_parts))(NEW)
    assert abs(value - expected) < 1e-6
    close(of_parts, value)
    close(slope_of_parts, slope, rtol=1e-5)
    assert slope[1, 1] == 0


def test_normalisation_by_prompts():
    loss = reduce(ppo_clip, axis=(-2, -1))
    arrays = [array[None] for array in (NEW, OLD, ADVANTAGES, MASK)]
    close(loss(*arrays[:3], where=arrays[3]), -0.272910, rtol=3e-6)
    # Of two prompts, of which one has a single token: the mean of both, whatever their tokens.
    two = [np.concatenate([array, array]) for array in arrays]
    two[3][1] = [[True, False], [False, False]]
    first, second = ppo_clip(NEW, OLD, ADVANTAGES, where=MASK), ppo_clip(NEW[0, 0], OLD[0, 0], 1.0)
    close(loss(*two[:3], where=two[3]), (first + second) / 2)


@pytest.mark.parametrize("how", ["mean", "sum"])
def test_an_empty_answer_does_not_count_unless_the_batch_is_named(how):
    loss = reduce(ppo_clip, how, axis=-1)
    empty = MASK & [[True], [False]]
    close(loss(NEW, OLD, ADVANTAGES, where=empty), loss(NEW[:1], OLD[:1], ADVANTAGES[:1]))
    counted = reduce(loss, lambda tally: tally.numerator / BATCH)
    close(counted(NEW, OLD, ADVANTAGES, where=empty), loss(NEW[:1], OLD[:1], ADVANTAGES[:1]) / 2)


def test_an_advantage_is_no_weight():
    as_weight = ppo_clip(NEW, OLD, np.ones_like(NEW), weights=2 * np.ones_like(NEW))
    close(ppo_clip(NEW, OLD, 2 * np.ones_like(NEW)), 2 * as_weight)


# ---------------------------------------------------------------------------------------------------- from a model


@pytest.fixture
def model(rng):
    hidden, kernel = rng.normal(size=(3, 4, 6)), rng.normal(size=(6, 11))
    labels, mask = rng.integers(0, 11, (3, 4)), np.arange(4) < np.array([[4], [2], [3]])
    return hidden.astype(np.float32), labels, kernel.astype(np.float32), mask


def log_probabilities(model):
    hidden, labels, kernel, _ = model
    logits = hidden.astype(float) @ kernel.astype(float)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return np.take_along_axis(log_p, labels[..., None], -1)[..., 0]


def test_log_probabilities_of_answers_come_from_a_reduction(model):
    hidden, labels, kernel, mask = model
    cross_entropy = jaxloss.softmax_cross_entropy_with_integer_labels
    sums = -reduce(reduce(cross_entropy, "sum", axis=-1), "none")(hidden @ kernel, labels, where=mask)
    means = -reduce(reduce(cross_entropy, axis=-1), "none")(hidden @ kernel, labels, where=mask)
    expected = (log_probabilities(model) * mask).sum(-1)
    close(sums, expected, rtol=1e-5)
    close(means, expected / mask.sum(-1), rtol=1e-5)


def agree(by_head, by_logits, hidden, kernel):
    """In value and in both gradients."""
    both = jax.jit(lambda *x: [jax.value_and_grad(f, (0, 1))(*x) for f in (by_head, by_logits)])
    for one, other in zip(*map(jax.tree.leaves, both(hidden, kernel)), strict=True):
        close(one, other, rtol=1e-4, atol=1e-6)


# What a link makes of the softmax of a token, and the same of its logits.
sparse = reduce(jaxloss.softmax_cross_entropy_with_integer_labels, "none")
LINKS = {
    "unlikelihood": (
        lambda softmax: -jnp.log(softmax.complement),
        lambda logits, labels: reduce(jaxloss.unlikelihood, "none")(logits, labels),
    ),
    "ppo_clip": (
        lambda softmax, old, advantage: ppo_clip(-softmax.surprisal, old, advantage),
        lambda logits, labels, *arrays: reduce(ppo_clip, "none")(-sparse(logits, labels), *arrays),
    ),
    "grpo": (
        lambda softmax, old, advantage, reference: jaxloss.grpo(-softmax.surprisal, old, advantage, reference),
        lambda logits, labels, *arrays: reduce(jaxloss.grpo, "none")(-sparse(logits, labels), *arrays),
    ),
    "sampled_kl_divergence": (
        lambda softmax, reference: jaxloss.sampled_kl_divergence(-softmax.surprisal, reference),
        lambda logits, labels, old: reduce(jaxloss.sampled_kl_divergence, "none")(-sparse(logits, labels), old),
    ),
    "entropy": (
        lambda softmax: softmax.entropy,
        lambda logits, _: jnp.log(11.0) - reduce(jaxloss.kl_divergence_with_logits, "none")(logits, 0 * logits),
    ),
}


@pytest.mark.parametrize("name", LINKS)
def test_a_link_at_the_head_of_a_model_without_its_logits(name, model, rng):
    hidden, labels, kernel, mask = model
    link, of_logits = LINKS[name]
    of_head = jaxloss.linear_softmax_loss(link)
    old, advantages = log_probabilities(model) + rng.normal(size=(3, 4)) * 0.2, rng.normal(size=(3, 4))
    arrays = [x.astype(np.float32) for x in (old, advantages, old - 0.3)]
    arrays = arrays[: len(inspect.signature(link).parameters) - 1]

    def by_logits(hidden, kernel):
        return jnp.mean(of_logits(hidden @ kernel, labels, *arrays), where=mask)

    agree(lambda h, w: of_head(h, labels, *arrays, w, where=mask), by_logits, hidden, kernel)


ANSWERS = {
    "dpo": ("sum", lambda x: jaxloss.dpo(x[0], x[1], -8.0, -6.0)),
    "kto": ("sum", lambda x: jaxloss.kto(x, -7 * jnp.ones(3), np.float32([1, 0, 1]))),
    "ipo": ("mean", lambda x: jaxloss.ipo(x[0], x[1], -2.0, -3.0)),
    "simpo": ("mean", lambda x: jaxloss.simpo(x[0], x[1])),
    "orpo": ("mean", lambda x: jaxloss.orpo(x[0], x[1])),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.sampled(3)
def test_a_preference_at_the_head_of_a_model_without_its_logits(name, model):
    hidden, labels, kernel, mask = model
    how, preference = ANSWERS[name]
    log_probability = jaxloss.linear_softmax_loss(lambda softmax: -softmax.surprisal)
    of_answers = reduce(reduce(log_probability, how, axis=-1), "none")

    def by_logits(hidden, kernel):
        total = jnp.sum(-sparse(hidden @ kernel, labels), -1, where=mask)
        return preference(total / np.float32(mask.sum(-1)) if how == "mean" else total)

    agree(lambda h, w: preference(of_answers(h, labels, w, where=mask)), by_logits, hidden, kernel)


# --------------------------------------------------------------------------------------------------- between the losses


def test_dpo_is_bradley_terry_of_its_rewards():
    c, r, c_ref, r_ref = -10.0, -12.0, -11.0, -11.5
    close(jaxloss.dpo(c, r, c_ref, r_ref, beta=0.3), jaxloss.bradley_terry(0.3 * (c - c_ref), 0.3 * (r - r_ref)))
    close(jaxloss.dpo(c, r, 0.0, 0.0, beta=0.3), jaxloss.simpo(c, r, beta=0.3, margin=0.0))
    close(jaxloss.dpo(c, r, c_ref, r_ref, label_smoothing=0.2), jaxloss.dpo(r, c, r_ref, c_ref, label_smoothing=0.8))
    close(jaxloss.dpo(c, r, c_ref, r_ref, beta=0.0), np.log(2))


def test_ipo_is_a_squared_error():
    ahead = (-10.0 + 11.0) - (-12.0 + 11.5)
    close(jaxloss.ipo(-10.0, -12.0, -11.0, -11.5, beta=0.1), jaxloss.squared_error(ahead, 5.0))
    close(jaxloss.ipo(-10.0, -12.0, -11.0, -11.5), 12.25)


def test_a_margin_of_bradley_terry_is_left_out_as_0():
    close(jaxloss.bradley_terry(1.5, 0.5), jaxloss.bradley_terry(1.5, 0.5, 0.0))


def test_a_verdict_of_kto_and_its_contrary_share_1():
    one, other = (jaxloss.kto(-10.0, -11.0, y, reference_point=0.3) for y in (1.0, 0.0))
    close(one + other, 1.0)
    assert jaxloss.kto(-10.0, -11.0, True) == jaxloss.kto(-10.0, -11.0, 1.0)


def test_the_factors_of_kto_do_not_cancel_in_a_mean():
    arrays = np.float32([-10.0, -12.0]), np.float32([-11.0, -11.0]), np.float32([1.0, 0.0])
    twice = jaxloss.kto(*arrays, desirable_weight=2.0, undesirable_weight=2.0)
    close(twice, 2 * jaxloss.kto(*arrays))


def test_orpo_up_to_certainty():
    value, slopes = jax.jit(jax.value_and_grad(jaxloss.orpo, (0, 1)))(0.0, -1.0)
    odds = 1 / np.expm1(1.0)
    assert value == 0
    close(slopes[0], -1 - 0.1 * odds)
    assert slopes[1] == 0
    close(jaxloss.orpo(0.0, 0.0), 0.1 * np.log(2))
    assert np.isfinite(jax.jit(jax.grad(jaxloss.orpo, (0, 1)))(0.0, 0.0)).all()
    assert np.isnan(reduce(jaxloss.orpo, "none")(np.float32([0.1, -1.0]), np.float32([-1.0, 0.1]))).all()


def test_grpo_is_ppo_and_a_divergence():
    new, old, advantage, reference = -1.0, -1.1, 1.0, -1.2
    close(jaxloss.grpo(new, old, advantage), ppo_clip(new, old, advantage))
    divergence = jaxloss.sampled_kl_divergence(new, reference)
    close(jaxloss.grpo(new, old, advantage, reference, beta=0.5), ppo_clip(new, old, advantage) + 0.5 * divergence)


def test_gspo_of_one_token_is_ppo():
    options = {"clip": 0.2, "clip_high": 0.28}
    for new, advantage in ((-1.0, 1.0), (-1.0, -1.0), (-0.5, 1.0), (-2.0, -1.0)):
        one = jaxloss.gspo(np.float32([new]), np.float32([-1.1]), advantage, **options)
        close(one, ppo_clip(new, -1.1, advantage, **options))


def test_an_answer_of_gspo_without_a_token_costs_0_and_counts(rng):
    new, old = rng.normal(size=(2, 2, 3)).astype(np.float32)
    mask, advantage = np.array([[True, False, True], [False] * 3]), np.float32([1.0, 2.0])
    value, slopes = jax.jit(jax.value_and_grad(jaxloss.gspo, (0, 1, 2)))(new, old, advantage, mask)
    close(value, jaxloss.gspo(new[0, ::2], old[0, ::2], 1.0) / 2)
    assert all(not np.any(slope[1]) for slope in slopes)
    close(jaxloss.gspo(new, old, advantage, mask, where=mask.any(-1)), 2 * value)


@pytest.mark.parametrize("dual_clip", [None, 3.0])
def test_ppo_where_the_ratio_overflows(dual_clip):
    for advantage, expected in ((1.0, -1.2), (0.0, 0.0), (-1.0, np.inf if dual_clip is None else dual_clip)):
        loss = functools.partial(ppo_clip, dual_clip=dual_clip)
        value, slopes = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(
            np.float32(np.inf), np.float32(0), np.float32(advantage)
        )
        close(value, expected)
        assert not np.isnan(slopes).any()
        assert np.isinf(expected) or not slopes[0]


def test_ppo_at_the_first_step_has_the_gradient_of_the_policy():
    for advantage in (1.0, -1.0, 0.3):
        assert jax.jit(jax.grad(ppo_clip))(-1.3, -1.3, advantage) == np.float32(-advantage)


# --------------------------------------------------------------------------------------- the estimators of a divergence


@pytest.fixture
def policies(rng):
    return rng.normal(size=7).astype(np.float32), rng.normal(size=7).astype(np.float32)


def expected_over_samples(of_sample, logits, reference):
    """The mean over the policy of its samples, by their probabilities, which are not differentiated."""
    log_p, log_q = jax.nn.log_softmax(logits), jax.nn.log_softmax(reference)
    return jnp.sum(jax.lax.stop_gradient(jnp.exp(log_p)) * of_sample(log_p, log_q))


def estimator(name):
    return reduce(functools.partial(jaxloss.sampled_kl_divergence, estimator=name), "none")


@pytest.mark.parametrize("name", ["k1", "k3"])
def test_an_estimator_has_the_mean_of_the_divergence(name, policies):
    divergence = jaxloss.kl_divergence_with_logits(*policies)
    close(expected_over_samples(estimator(name), *policies), divergence, rtol=1e-5)


def test_the_gradient_of_an_estimate_is_not_the_estimate_of_the_gradient(policies):
    k1, k2, k3 = (
        jax.jit(jax.grad(functools.partial(expected_over_samples, estimator(k))))(*policies) for k in ("k1", "k2", "k3")
    )
    close(k1, np.zeros(7), atol=1e-6)
    close(k2, jax.jit(jax.grad(jaxloss.kl_divergence_with_logits))(*policies), rtol=1e-4, atol=1e-6)
    close(k3, jax.jit(jax.grad(jaxloss.kl_divergence_with_logits, 1))(policies[1], policies[0]), rtol=1e-4, atol=1e-6)


# -------------------------------------------------------------------------------------------------------- distillation

TEACHER, STUDENT = np.float32([2.0, 1.0, 0.5, 0.0]), np.float32([1.0, 0.5, -1.0, 0.5])


def test_distillation_is_the_divergence_from_the_teacher():
    for temperature in (1.0, 3.0):
        divergence = jaxloss.kl_divergence_with_logits(TEACHER, STUDENT, temperature=temperature)
        close(jaxloss.distillation(STUDENT, TEACHER, temperature=temperature), temperature**2 * divergence)


def test_the_gradient_of_distillation_keeps_its_size():
    # That of half the squared difference of centred logits, in the limit (Hinton et al. 2015, equation 4).
    slope = jax.jit(jax.grad(functools.partial(jaxloss.distillation, temperature=1e3)))(STUDENT, TEACHER)
    difference = STUDENT - TEACHER
    close(slope, (difference - difference.mean()) / len(difference), rtol=3e-3)


def test_the_ends_of_a_mixture_are_divergences():
    mixture = jaxloss.generalized_jensen_shannon_divergence_with_logits
    one, other = (jaxloss.kl_divergence_with_logits(*pair) for pair in ((TEACHER, STUDENT), (STUDENT, TEACHER)))
    close(mixture(TEACHER, STUDENT, weight=1e-6) / 1e-6, one, rtol=1e-4)
    close(mixture(TEACHER, STUDENT, weight=1 - 2**-20) * 2**20, other, rtol=1e-4)
    close(mixture(TEACHER, STUDENT), jaxloss.jensen_shannon_divergence_with_logits(TEACHER, STUDENT))


def test_top_k_of_all_classes_is_the_divergence():
    log_p, labels = np.asarray(jax.nn.log_softmax(TEACHER)), np.array([2, 0, 3, 1])
    whole = jaxloss.kl_divergence_with_logits(TEACHER, STUDENT)
    for tail in ("bucket", "renormalize"):
        close(jaxloss.top_k_distillation(STUDENT, log_p[labels], labels, tail=tail), whole, rtol=1e-5)


def test_top_k_is_between_0_and_the_divergence(rng):
    teacher, student = (
        (rng.normal(size=(50, 20)) * 3).astype(np.float32),
        (rng.normal(size=(50, 20)) * 3).astype(np.float32),
    )
    labels = np.argsort(-teacher, -1)[:, :4]
    log_p = np.take_along_axis(np.asarray(jax.nn.log_softmax(teacher)), labels, -1)
    cost = reduce(jaxloss.top_k_distillation, "none")(student, log_p, labels)
    whole = reduce(jaxloss.distillation, "none")(student, teacher)
    assert np.all((cost >= 0) & (cost <= whole))
    same = np.take_along_axis(np.asarray(jax.nn.log_softmax(student)), labels, -1)
    assert np.all(np.abs(reduce(jaxloss.top_k_distillation, "none")(student, same, labels)) < 1e-10)


@pytest.mark.parametrize("labels", [[0, 0], [0, 4], [-1, 2]], ids=str)
def test_labels_of_top_k_that_are_none(labels):
    assert np.isnan(jaxloss.top_k_distillation(STUDENT, np.float32([-1.0, -2.0]), np.array(labels)))


# ---------------------------------------------------------------------------------------------------------- generative


def network(predicts, data, noise, log_snr, wrong):
    """What a network says that is wrong about the noise by so much, in each parametrisation."""
    alpha, sigma = (np.sqrt(1 / (1 + np.exp(-sign * log_snr))) for sign in (1, -1))
    if predicts == "velocity":  # of the path on which alpha and sigma add up to 1
        alpha = 1 / (1 + np.exp(-log_snr / 2))
        sigma = 1 - alpha
    z, noise = alpha * data + sigma * noise, noise + wrong
    data = (z - sigma * noise) / alpha
    said = {"noise": noise, "data": data, "v": alpha * noise - sigma * data, "velocity": noise - data}
    return np.float32(said[predicts])


@pytest.mark.parametrize(
    "weighting", ["noise", "data", "v", "min_snr", "truncated_snr", "edm", lambda x: 1 / (1 + x**2)]
)
def test_networks_that_mean_the_same_cost_the_same(weighting):
    data, noise, wrong, log_snr = np.array([0.5, -1.0]), np.array([-1.0, 0.3]), np.array([0.3, -0.1]), np.log(4.0)
    costs = [
        jaxloss.diffusion(
            network(predicts, data, noise, log_snr, wrong),
            *np.float32([data, noise]),
            np.float32(log_snr),
            predicts=predicts,
            weighting=weighting,
        )
        for predicts in ("noise", "data", "v", "velocity")
    ]
    close(costs, [costs[0]] * 4, rtol=2e-5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"weighting": "noise"}, 0.09),
        ({"weighting": "min_snr", "gamma": 2.0}, 0.045),
        ({"weighting": "edm"}, 0.18),
        ({"predicts": "v"}, 0.1125),
        ({"predicts": "v", "weighting": "min_snr", "gamma": 2.0}, 0.045),
        ({"predicts": "data", "weighting": "noise"}, 0.09),
    ],
    ids=str,
)
def test_the_worked_example_of_diffusion(options, expected):
    log_snr = np.log(4.0)
    said = network(options.get("predicts", "noise"), np.array([0.5]), np.array([-1.0]), log_snr, np.array([0.3]))
    cost = jaxloss.diffusion(said, np.float32([0.5]), np.float32([-1.0]), np.float32(log_snr), **options)
    close(cost, expected, rtol=1e-5)


def test_velocities_cost_what_flow_matching_says(rng):
    velocity, data, noise = rng.normal(size=(3, 5, 4)).astype(np.float32)
    expected = jaxloss.flow_matching(velocity, data, noise)
    close(jaxloss.diffusion(velocity, data, noise, np.zeros(5, np.float32), predicts="velocity"), expected)


def test_a_score_is_a_noise(rng):
    score, noise = rng.normal(size=(2, 5, 4)).astype(np.float32)
    sigma = rng.uniform(0.1, 2, 5).astype(np.float32)
    expected = jaxloss.diffusion(-sigma[:, None] * score, noise, noise, np.zeros(5, np.float32))
    close(jaxloss.denoising_score_matching(score, noise, sigma), expected)


def test_a_noise_level_is_a_factor_and_no_weight(rng):
    prediction, data, noise = rng.normal(size=(3, 5, 4)).astype(np.float32)
    log_snr = np.full(5, 3.0, np.float32)
    plain = jaxloss.diffusion(prediction, data, noise, log_snr)
    close(jaxloss.diffusion(prediction, data, noise, log_snr, weighting="min_snr"), 5 / np.exp(3.0) * plain)
    close(jaxloss.diffusion(prediction, data, noise, log_snr, weights=5 / np.exp(log_snr)), plain)

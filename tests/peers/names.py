"""Every public loss of optax, torch and keras, and where it is here. As a program: writes notebooks/coming_from.md."""

import sys
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "notebooks" / "coming_from.md"


class Name(NamedTuple):
    """A public name of a peer, the path of ours under `jaxloss`, and the difference that matters."""

    theirs: str
    ours: str
    mind: str


class Library(NamedTuple):
    """A peer.

    Attributes:
        module: Where its losses are.
        mind: What holds for all of them.
        names: Those that are here.
        elsewhere: Those that are made of something here, which the text says.
        not_yet: Those of families that are not here yet.
        no_losses: Public functions beside them that are no losses.
    """

    module: str
    mind: str
    names: tuple[Name, ...]
    elsewhere: tuple[tuple[str, str], ...]
    not_yet: tuple[str, ...]
    no_losses: tuple[str, ...] = ()


SIGNS = "a target that is neither -1 nor 1 gives NaN, not a silent cost"

OPTAX = Library(
    "optax.losses",
    "optax returns unreduced values, which here is `jaxloss.reduce(loss, 'none')`; a call of ours is their mean. "
    "`where=` of optax masks classes, which here is `class_mask`; ours says which items count. Most are "
    "`optax.huber_loss` and so on, too.",
    (
        Name("squared_error", "squared_error", "a target is required"),
        Name("l2_loss", "squared_error", "half of it"),
        Name("huber_loss", "huber", "`delta=0` is refused; the gradient of a small error is not rounded away"),
        Name("log_cosh", "log_cosh", "right at small errors too, where optax gives 0"),
        Name("cosine_distance", "cosine_distance", "no epsilon: a zero vector has cosine 0, where optax gives NaN"),
        Name("cosine_similarity", "cosine_distance", "1 - it"),
        Name("sigmoid_binary_cross_entropy", "sigmoid_binary_cross_entropy", "exact at infinite logits, too"),
        Name("softmax_cross_entropy", "softmax_cross_entropy", "logits of -inf are safe; `where=` is `class_mask`"),
        Name("safe_softmax_cross_entropy", "softmax_cross_entropy", "ours is always safe, in forward mode too"),
        Name(
            "softmax_cross_entropy_with_integer_labels",
            "softmax_cross_entropy_with_integer_labels",
            "a label that is no class gives NaN, where optax wraps negative ones round",
        ),
        Name("smooth_labels", "softmax_cross_entropy", "`label_smoothing=`, over the classes that are possible"),
        Name(
            "sigmoid_focal_loss",
            "sigmoid_focal",
            "the same options; a target between 0 and 1 mixes the costs of the two classes",
        ),
        Name("hinge_loss", "hinge", SIGNS),
        Name("perceptron_loss", "perceptron", SIGNS),
        Name("multiclass_hinge_loss", "multiclass_hinge", "a label that is no class gives NaN"),
        Name("multiclass_perceptron_loss", "multiclass_perceptron", "a label that is no class gives NaN"),
        Name("sparsemax_loss", "sparsemax", "labels are integers; neither 0 nor 1 gives NaN"),
        Name("multiclass_sparsemax_loss", "multiclass_sparsemax", "a label that is no class gives NaN"),
        Name("make_fenchel_young_loss", "fenchel_young", "returns a Loss, with masks, weights and reductions"),
        Name("poly_loss_cross_entropy", "poly_cross_entropy", "the same `epsilon=2.0`"),
        Name(
            "kl_divergence",
            "kl_divergence",
            "(p, q) as in D(p || q), both probabilities: optax takes log q first, then p",
        ),
        Name(
            "kl_divergence_with_log_targets",
            "kl_divergence_with_logits",
            "(p, q), from logits, of which log-probabilities are a kind; a class of -inf is safe",
        ),
        Name(
            "generalized_kl_divergence",
            "generalized_kl_divergence",
            "(p, q), both unnormalised and neither in logarithms",
        ),
        Name("convex_kl_divergence", "generalized_kl_divergence", "deprecated in optax for generalized_kl_divergence"),
        Name(
            "triplet_margin_loss",
            "triplet",
            "`margin=0.2`, not 1; no epsilon, and no NaN without it; other norms by `distance=`",
        ),
    ),
    (
        (
            "ranking_softmax_loss",
            "`jaxloss.listwise_softmax`; `where=` is `item_mask`, and `weights` go into the targets",
        ),
    ),
    (
        "binary_dice_loss",
        "ctc_loss",
        "ctc_loss_with_forward_probs",
        "dice_loss",
        "multiclass_generalized_dice_loss",
        "ntxent",
    ),
)

TORCH = Library(
    "torch.nn.functional",
    "`reduction='none'` is `jaxloss.reduce(loss, 'none')`, `'sum'` is `reduce(loss, 'sum')`. `weight=` of "
    "elements is `weights=`, and divides a mean by its sum. The classes of `torch.nn` "
    "are these. A mean over nothing is 0 here, not NaN; shapes that differ are refused, not broadcast.",
    (
        Name("mse_loss", "squared_error", "the mean, too"),
        Name("l1_loss", "absolute_error", "the mean, too"),
        Name("huber_loss", "huber", "the same `delta=1.0`; 0 is refused"),
        Name("smooth_l1_loss", "smooth_l1", "the same `beta=1.0`; 0 is the absolute error"),
        Name("cosine_similarity", "cosine_distance", "1 - it; no epsilon: a zero vector has cosine 0"),
        Name("cosine_embedding_loss", "cosine_distance", "for its target 1; that of -1 is not there yet"),
        Name(
            "gaussian_nll_loss",
            "gaussian_nll",
            "the logarithm of the variance, last; constants included (`full=True`); no clamp at 1e-6",
        ),
        Name(
            "poisson_nll_loss",
            "poisson_nll",
            "a logarithmic rate (`log_input=True`); log t! included and exact, where `full=True` approximates it",
        ),
        Name(
            "nll_loss",
            "sparse_categorical_cross_entropy",
            "probabilities, not their logarithms; from logits: softmax_cross_entropy_with_integer_labels",
        ),
        Name("binary_cross_entropy", "binary_cross_entropy", "log is not clamped at -100"),
        Name(
            "binary_cross_entropy_with_logits",
            "sigmoid_binary_cross_entropy",
            "`pos_weight` is `positive_weight`; a confident row costs little, not 0",
        ),
        Name("soft_margin_loss", "sigmoid_binary_cross_entropy", "targets 0 and 1, not -1 and 1"),
        Name(
            "cross_entropy",
            "softmax_cross_entropy_with_integer_labels",
            "classes last; `ignore_index` is `where=labels != -100`; "
            "`weight` is `weights=class_weights[jnp.maximum(labels, 0)]`; "
            "target probabilities: softmax_cross_entropy",
        ),
        Name(
            "linear_cross_entropy",
            "linear_softmax_cross_entropy",
            "the kernel is `[d, v]`, torch's `[v, d]`; hidden, labels, kernel",
        ),
        Name(
            "kl_div",
            "kl_divergence",
            "(p, q) as in D(p || q), both probabilities, summed over classes (`batchmean`); torch takes log q first, "
            "then p; `log_target=True`: kl_divergence_with_logits",
        ),
        Name(
            "triplet_margin_loss",
            "triplet",
            "`margin=0.2`, not 1; no epsilon; `p` by `distance=`; no `swap`",
        ),
        Name("triplet_margin_with_distance_loss", "triplet", "`distance_function` is `distance`, of one pair"),
        Name(
            "margin_ranking_loss",
            "triplet_from_distances",
            "for its target 1: the one to be greater is `negative_distance`",
        ),
        Name("pairwise_distance", "numerics.euclidean_distance", "no loss; gradient 0 where the two meet"),
    ),
    (
        (
            "multilabel_soft_margin_loss",
            "`jaxloss.reduce(jaxloss.sigmoid_binary_cross_entropy, axis=-1)`: the mean over classes, then over items",
        ),
        (
            "multi_margin_loss",
            "not the same as `multiclass_hinge`: torch has the mean over classes of all that are in the way, ours "
            "the worst of them",
        ),
    ),
    ("ctc_loss", "hinge_embedding_loss", "multilabel_margin_loss"),
)

KERAS = Library(
    "keras.losses",
    "Keras takes the target first; here the prediction is first. It takes the mean over the last axis also of an "
    "elementwise loss: `jaxloss.reduce(loss, axis=-1)`. `sample_weight` is `weights`, and divides a mean by its "
    "sum. No `from_logits`: logits have a loss of their own. Nothing is clipped: 0 log 0 is 0, and a truly "
    "infinite cost is inf. The classes of `keras.losses` are these functions, reduced.",
    (
        Name("mean_squared_error", "squared_error", "prediction first"),
        Name("mean_absolute_error", "absolute_error", "prediction first"),
        Name("huber", "huber", "`delta=0` is refused"),
        Name("log_cosh", "log_cosh", "never negative: keras gives -6e-8 at small errors"),
        Name(
            "mean_absolute_percentage_error",
            "absolute_percentage_error",
            "a share, not per cent; a target of 0 costs inf, not 1e9",
        ),
        Name("mean_squared_logarithmic_error", "squared_log_error", "targets down to -1; keras clips at 1e-7"),
        Name("cosine_similarity", "cosine_distance", "1 + it: keras's is the negative cosine"),
        Name(
            "poisson",
            "poisson_nll",
            "the logarithm of the rate, where keras adds 1e-7 to the rate; log t! included",
        ),
        Name(
            "binary_crossentropy",
            "binary_cross_entropy",
            "`from_logits=True`: sigmoid_binary_cross_entropy, with `label_smoothing`",
        ),
        Name(
            "binary_focal_crossentropy",
            "binary_focal",
            "for `apply_class_balancing=True`; else twice it at `alpha=0.5`; `from_logits=True`: sigmoid_focal",
        ),
        Name(
            "categorical_crossentropy",
            "categorical_cross_entropy",
            "probabilities are taken as they are, not divided by their sum; `from_logits=True`: softmax_cross_entropy",
        ),
        Name(
            "sparse_categorical_crossentropy",
            "sparse_categorical_cross_entropy",
            "`from_logits=True`: softmax_cross_entropy_with_integer_labels; `ignore_class` is `where=`; "
            "a label that is no class gives NaN, where keras gives 0",
        ),
        Name("categorical_focal_crossentropy", "softmax_focal", "for `alpha=1`: integer labels, and logits"),
        Name("categorical_generalized_cross_entropy", "generalized_cross_entropy", "logits, and `q=0` is the limit"),
        Name("hinge", "hinge", "targets -1 and 1 only: keras takes 0 for -1"),
        Name("squared_hinge", "squared_hinge", "targets -1 and 1 only: keras takes 0 for -1"),
        Name(
            "categorical_hinge",
            "multiclass_hinge",
            "integer labels; in keras the label itself is a rival of score 0",
        ),
        Name("kl_divergence", "kl_divergence", "(p, q) with p the target, as in keras; exact with zeros in both"),
    ),
    (),
    ("circle", "ctc", "dice", "tversky"),
    ("deserialize", "get", "serialize"),
)

TRAINERS = Library(
    "Trainers of language models",
    "Read in trl, OpenRLHF, verl, tunix, EasyDeL, Liger and rlax, which are not called. They take models; a loss here "
    "takes log-probabilities, of answers or of tokens. Masks are `where=`, and an aggregation is a step of "
    "`jaxloss.reduce`, which is exact over micro-batches and devices.",
    (
        Name("trl loss_type=sigmoid", "dpo", "`label_smoothing` is that of conservative DPO"),
        Name("OpenRLHF DPOLoss", "dpo", "`ipo=True`: ipo, where OpenRLHF takes sums of log-probabilities"),
        Name("tunix dpo_loss_fn", "dpo", "`algorithm='orpo'`: orpo, which is not clipped near 0"),
        Name("Liger LigerFusedLinearDPOLoss", "dpo", "from log-probabilities"),
        Name("trl loss_type=ipo", "ipo", "means over tokens"),
        Name("trl KTOTrainer", "kto", "its `kl` is `reference_point`, made by the caller; EasyDeL's `kto_pair` is dpo"),
        Name("trl CPOTrainer(loss_type=simpo)", "simpo", "`simpo_gamma` is `margin`; its beta is 0.1, here 2"),
        Name("SimPO SimPOTrainer", "simpo", "`margin = gamma_beta_ratio * beta`"),
        Name("trl odds_ratio_loss", "orpo", "the negative log-likelihood is the mean over tokens of each pair, too"),
        Name("trl RewardTrainer", "bradley_terry", "its `margin`, an array; never -inf with a gradient of NaN"),
        Name("OpenRLHF PairWiseLoss, LogExpLoss", "bradley_terry", "the same"),
        Name("rlax clipped_surrogate_pg_loss", "ppo_clip", "log-probabilities, not their ratios; the mean, too"),
        Name("tunix ppo_policy_loss_fn", "ppo_clip", "`epsilon_high` is `clip_high`"),
        Name("verl compute_policy_loss_vanilla", "ppo_clip", "`clip_ratio_c` is `dual_clip`, None by default"),
        Name("OpenRLHF PolicyLoss", "ppo_clip", "`dual_clip`; `token_level_loss=False`: `reduce(ppo_clip, axis=-1)`"),
        Name(
            "trl GRPOTrainer",
            "grpo",
            "`beta=0.04`, not 0; `loss_type` is a reduction: `reduce(grpo, axis=-1)` for grpo, the plain call for dapo "
            "and bnpo, over all devices",
        ),
        Name("tunix grpo_loss_fn", "grpo", "the same terms"),
        Name("trl importance_sampling_level=sequence", "gspo", "one value for an answer"),
        Name(
            "verl kl_penalty, OpenRLHF compute_approx_kl",
            "sampled_kl_divergence",
            "`kl`, `mse`, `low_var_kl` are k1 to k3",
        ),
        Name("tunix LogitStrategy", "distillation", "with the factor T^2, at a temperature of 1, not 2"),
        Name("EasyDeL distillation_loss", "distillation", "the student first"),
        Name(
            "trl generalized_jsd_loss, Liger LigerJSD",
            "generalized_jensen_shannon_divergence_with_logits",
            "`beta` is `weight`; 0 and 1 are refused: kl_divergence_with_logits",
        ),
        Name("tunix distill_top_k", "top_k_distillation", "`tail='renormalize'`"),
        Name("verl forward_kl_topk", "top_k_distillation", "a divergence, never negative"),
        Name("fairseq unlikelihood", "unlikelihood", "one token; not clamped at 1e-20"),
    ),
    (("value clipping, V-trace, GAE", "rlax"),),
    (),
)

GENERATIVE = Library(
    "Diffusion and flow matching",
    "Read in the training scripts of diffusers, in k-diffusion, edm, score_sde, flow_matching and OTT, which are not "
    "called.",
    (
        Name("diffusers prediction_type", "diffusion", "`predicts`: noise, data or v"),
        Name("diffusers snr_gamma", "diffusion", "`weighting='min_snr', gamma=`; right without a signal, too"),
        Name("k-diffusion Denoiser(weighting=...)", "diffusion", "karras is edm, snr is noise"),
        Name("edm EDMLoss", "diffusion", "`weighting='edm', sigma_data=0.5`; `log_snr = -2 * log(sigma)`"),
        Name("OTT flow_matching_step", "flow_matching", "velocity, start, end"),
        Name("diffusers (SD3, Flux)", "flow_matching", "`start` is the data, `end` the noise"),
        Name("score_sde get_smld_loss_fn", "denoising_score_matching", "without the half"),
    ),
    (),
    (),
)

RANKERS = Library(
    "Learning to rank",
    "Read in rax, TF-Ranking, allRank and sentence-transformers. One item is one list; `where=` of rax is "
    "`item_mask=`, and `where=item_mask.any(-1)` leaves empty lists out. A mean here is over "
    "the pairs of a list; for one over all pairs pass their number as `weights=`. `segments=` is a mask: "
    "`loss(scores, targets, segments == ids[:, None])`.",
    (
        Name("rax softmax_loss", "listwise_softmax", "targets as they are; a constant weight changes no mean"),
        Name("TF-Ranking SoftmaxLoss", "listwise_softmax", "`targets / sum`, and `weights=targets.sum(-1)`"),
        Name("allRank listNet", "listwise_softmax", "of `softmax(targets)`; nothing is added in the logarithm"),
        Name("rax listmle_loss", "list_mle", "ties share a denominator, and need no key"),
        Name("rax pairwise_logistic_loss, allRank rankNet", "pairwise_logistic", "a masked NaN reaches nothing"),
        Name("rax pairwise_hinge_loss", "pairwise_hinge", "with a `margin`"),
        Name("rax pairwise_mse_loss", "pairwise_squared_error", "a document and itself are no pair"),
        Name("rax unique_softmax_loss", "unique_softmax", "in O(n log n)"),
        Name("rax approx_t12n(ndcg_metric)", "approx_ndcg", "one minus it; `temperature=1.0`"),
        Name("TF-Ranking ApproxNDCGLoss", "approx_ndcg", "one plus it"),
        Name("rax approx_t12n(mrr_metric)", "approx_mrr", "one minus it; `temperature=1.0`"),
        Name("rax dcg_lambdaweight", "lambda_rank", "in place of `pairwise_logistic` with lambda weights; rax times n"),
        Name("allRank lambdaLoss", "lambda_rank", "`scheme=`; natural logarithms: divide by log 2"),
    ),
    (),
    (),
)

SURVIVAL = Library(
    "Survival and forecasts",
    "Read in pycox, torchsurv, lifelines, xgboost, gluonts and neuralforecast, which are not called.",
    (
        Name("pycox cox_ph_loss", "cox", "ties are right in any order: `ties='breslow'`; no event costs 0, not NaN"),
        Name("torchsurv neg_partial_log_likelihood", "cox", "`ties_method` is `ties`"),
        Name("pycox nll_logistic_hazard", "discrete_hazard_nll", "(logits, labels, events)"),
        Name("pycox nll_pmf, DeepHit", "discrete_survival_nll", "without the ranking term of DeepHit"),
        Name("pycox nll_mtlr", "discrete_survival_nll", "of the reversed cumulative sums of the logits"),
        Name("xgboost survival:aft", "aft_nll", "normal, logistic, extreme: lognormal, loglogistic, weibull"),
        Name("lifelines WeibullAFTFitter", "aft_nll", "events, censoring on either side and intervals in one call"),
        Name("gluonts QuantileLoss", "multi_quantile", "half of it"),
        Name("neuralforecast MQLoss", "multi_quantile", "a masked mean is that of what counts"),
        Name("gluonts msis", "interval_score", "over the scale of the series"),
        Name("neuralforecast MASE", "scaled_absolute_error", "the scale is an array; of scale 0 it is inf: mask it"),
    ),
    (),
    (),
)

TRANSPORT = Library(
    "Transport and distances of distributions",
    "Read in SciPy, POT, OTT and geomloss, which are not called. Here no root is taken: "
    "`jaxloss.reduce(loss, lambda t: jaxloss.numerics.safe_sqrt(t.mean))` is the root of the mean.",
    (
        Name("scipy wasserstein_distance", "wasserstein_1d", "`u_weights` is `p_mass`; differentiable in masses too"),
        Name("POT wasserstein_1d(p=1)", "wasserstein_1d", "`p` is `order`; levels meet by count, not by a rounded sum"),
        Name("OTT univariate solvers", "wasserstein_1d", "`order=2.0`, which OTT's cost is"),
        Name("OTT sliced_wasserstein(n_proj)", "sliced_wasserstein", "`directions` are an array: no key inside"),
        Name("POT sliced_wasserstein_distance", "sliced_wasserstein", "its square"),
        Name("scipy energy_distance", "energy_distance", "its square, in any dimension"),
        Name("geomloss SamplesLoss(energy)", "energy_distance", "twice; equal points have a gradient, which is 0"),
        Name("geomloss SamplesLoss(gaussian, laplacian)", "mmd", "twice; `scale` is `blur`, of .05 there"),
        Name(
            "OTT sinkdiv", "sinkhorn_divergence", "`epsilon` in units of the cost, not of its deviation; 100 iterations"
        ),
        Name(
            "geomloss SamplesLoss(sinkhorn)",
            "sinkhorn_divergence",
            "half of it, at `epsilon=2 * blur**2` for its p = 2",
        ),
        Name("POT empirical_sinkhorn_divergence", "sinkhorn_divergence", "`reg` is `epsilon`, the penalty D(P || a b)"),
        Name("OTT Bures", "gaussian_wasserstein", "of diagonal covariances, by their log variances"),
        Name("POT bures_wasserstein_distance", "gaussian_wasserstein", "its square, of diagonal covariances"),
        Name("properscoring rps, NIMA EMD", "ranked_probability_score", "the sum of squares, no root and no mean"),
    ),
    (),
    (),
)

LIBRARIES = (OPTAX, TORCH, KERAS)
READ = (TRAINERS, GENERATIVE, RANKERS, SURVIVAL, TRANSPORT)
"""Those that are not installed."""


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def page() -> str:
    """The Markdown of it all."""
    lines = ["# Coming from elsewhere", "", "Made by `make names`; `make test-peers` compares the numbers.", ""]
    for library in LIBRARIES + READ:
        lines += [f"## {library.module}", "", library.mind, "", "| elsewhere | here | mind |", "|---|---|---|"]
        lines += [f"| `{name.theirs}` | `jaxloss.{name.ours}` | {_cell(name.mind)} |" for name in library.names]
        lines += [f"| `{theirs}` | | {text} |" for theirs, text in library.elsewhere]
        if library.not_yet:
            lines += [f"| {', '.join(f'`{name}`' for name in library.not_yet)} | | not there yet |"]
        lines += [""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE}\n")

"""Losses of projects that are read, and of which few are called: where they are here."""

from jaxloss.names.table import Library, Name

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

SEGMENTERS = Library(
    "Segmentation",
    "Read in segmentation_models_pytorch (smp), MONAI, kornia, mmsegmentation and the authors' code, of which MONAI "
    "and kornia are called by `make test-peers-vision`. `[b, h, w]` is one region per row: reshape to `[b, h * w]`; "
    "classes `[b, h, w, c]` to `[b, c, h * w]`. `ignore_index` is `pixel_mask=labels != 255`. Nothing is added to a "
    "denominator but `smooth`, and an image whose pixels are all masked costs 0. Dice with cross entropy is a sum of "
    "two losses.",
    (
        Name("smp DiceLoss, mmseg DiceLoss", "dice", "the same `smooth`"),
        Name("MONAI DiceLoss(squared_pred=True)", "dice", "`squared=True`, exactly 0 for soft targets that are met"),
        Name("MONAI DiceLoss(batch=True)", "dice", "a Tally of each class, exact for micro-batches and devices"),
        Name("MONAI DiceLoss", "dice", "`smooth_nr` and `smooth_dr` are one `smooth`"),
        Name("smp JaccardLoss, MONAI DiceLoss(jaccard=True)", "jaccard", "a value for each region"),
        Name("MONAI, smp, kornia TverskyLoss", "tversky", "`alpha=0.3, beta=0.7`, where they have 0.5"),
        Name("smp TverskyLoss(gamma)", "focal_tversky", "the power of each region, not of the mean over classes"),
        Name("MONAI GeneralizedDiceLoss", "generalized_dice", "`weighting=` is `w_type`; no infinite weights"),
        Name("smp LovaszLoss(mode='binary'), kornia lovasz_hinge_loss", "lovasz_hinge", "a label beside 0 and 1: NaN"),
        Name("smp LovaszLoss(mode='multiclass')", "lovasz_softmax", "probabilities, classes last"),
        Name("kornia lovasz_softmax_loss", "lovasz_softmax", "`classes='all'`"),
        Name("MONAI BoundaryLoss", "boundary", "elementwise; the BoundaryLoss of mmseg is another"),
        Name("MONAI HausdorffDTLoss", "hausdorff", "elementwise; distance maps are arguments"),
        Name("MONAI SoftclDiceLoss", "cl_dice", "skeletons by `jaxloss.numerics.soft_skeleton`; `smooth=1`"),
        Name("MONAI, smp MCCLoss", "matthews", "nothing is added to the cells, so a perfect prediction costs 0"),
    ),
    (),
    (),
)

TRANSPORT = Library(
    "Transport and distances of distributions",
    "Read in SciPy, POT, OTT and geomloss, of which POT is called by `make test-peers-vision`. Here no root is taken: "
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

EMBEDDINGS = Library(
    "Embeddings",
    "Read in open_clip, big_vision, pytorch-metric-learning (PML), lightly, sentence-transformers (sbert), TensorFlow "
    "Addons (TFA) and the authors' codes, of which PML is called by `make test-peers-vision`. One item is one batch, "
    "and the values are those of its anchors. `temperature` everywhere: 1 / `scale`, `exp(-logit_scale)`. Over devices "
    "`batch_axis_name=` says where the negatives come from, and `jaxloss.reduce(loss, axis_name=...)` where the mean "
    "is taken; no gradient is scaled by hand. What holds a gradient back, a teacher or keys of a queue, is "
    "`jax.lax.stop_gradient` outside.",
    (
        Name("open_clip ClipLoss", "clip", "the features as they come; `temperature=1 / logit_scale`"),
        Name("big_vision bidirectional_contrastive_loss", "clip", "no division by the number of devices"),
        Name(
            "sbert MultipleNegativesRankingLoss", "clip", "`symmetric=False, temperature=0.05`; duplicates: `labels=`"
        ),
        Name("PML NPairsLoss", "clip", "`symmetric=False, similarity='dot', temperature=1.0`"),
        Name("open_clip SigLipLoss", "siglip", "`temperature=1 / logit_scale, bias=logit_bias`; the mean over anchors"),
        Name("big_vision chunked_sigmoid_loss", "siglip", "by blocks of anchors, of `memory` bytes"),
        Name("lightly NTXentLoss", "nt_xent", "its temperature is 0.5; the memory bank is `info_nce`"),
        Name("MONAI ContrastiveLoss", "nt_xent", "no infinity below a temperature of 0.0113"),
        Name("PML SupConLoss", "supervised_contrastive", "an anchor without a positive costs 0 and counts"),
        Name("SupContrast SupConLoss", "supervised_contrastive", "times temperature / 0.07; flatten the views"),
        Name(
            "PML NTXentLoss", "info_nce", "each pair against its negatives alone: of more than two of a class another"
        ),
        Name("PML ContrastiveLoss", "contrastive", "half the squares, of one pair; theirs is not squared"),
        Name("sbert ContrastiveLoss", "contrastive", "`distance='cosine', margin=0.5`"),
        Name("TFA contrastive_loss", "contrastive", "half of it"),
        Name("PML ArcFaceLoss", "arcface", "its margin is in degrees: 28.6; `kernel` is an argument"),
        Name("insightface ArcFace", "arcface", "beyond pi - margin the authors' branch; finite gradient at 0 and pi"),
        Name("PML CosFaceLoss", "cosface", "`kernel` is an argument"),
        Name("PML NormalizedSoftmaxLoss", "cosface", "`margin=0.0, scale=1 / temperature`"),
        Name("PML BatchHardMiner", "batch_hard_triplet", "with TripletMarginLoss"),
        Name("sbert BatchHardTripletLoss", "batch_hard_triplet", "its margin is 5"),
        Name("sbert BatchHardSoftMarginTripletLoss", "batch_hard_triplet", "`soft_margin=True`"),
        Name("TFA triplet_hard_loss", "batch_hard_triplet", "an anchor is never its own hardest positive"),
        Name("TFA triplet_semihard_loss", "batch_semi_hard_triplet", "the mean over anchors; its L2 is the square"),
        Name("PML TripletMarginLoss", "batch_all_triplet", "`active_only=True` inside an anchor"),
        Name("sbert BatchAllTripletLoss", "batch_all_triplet", "`active_only=True` inside an anchor; never n^3"),
        Name("PML MultiSimilarityLoss", "multi_similarity", "without its miner `mining_margin=inf`"),
        Name("research-ms-loss", "multi_similarity", "a twin is a positive; divides by the members"),
        Name("PML CircleLoss", "circle", "`hold_weights=True` has its gradients"),
        Name("PML ProxyAnchorLoss", "proxy_anchor", "`proxies` are an argument; without positives 0, not NaN"),
        Name("lightly DINOLoss", "dino", "the centre is an argument, moved once for each step by the caller"),
        Name("lightly KoLeoLoss", "koleo", "no epsilon: of a twin it is inf"),
        Name("lightly BarlowTwinsLoss", "barlow_twins", "no epsilon; over devices exact, with its gradient"),
        Name("lightly VICRegLoss", "vicreg", "the same; PML's too"),
        Name("align_uniform uniform_loss", "uniformity", "normalises inside"),
        Name("MoCo", "info_nce", "the queue is `negatives`, shared by all queries"),
        Name("EasyDeL infonce_loss", "info_nce", "the negatives are an array of their own"),
    ),
    (),
    (),
)

SEQUENCES = Library(
    "Sequences",
    "Read in torchaudio, k2, warp-transducer, Paddle, pytorch-crf, TF Addons, OTT, tslearn and pytorch-softdtw-cuda, "
    "which are not called. Masks are True for what counts, and may have holes: `jnp.arange(t) < lengths[:, None]`. One "
    "item is one sequence, whose cost is not divided by its length.",
    (
        Name("k2 ctc_loss", "ctc", "logits, not log-probabilities"),
        Name("torchaudio rnnt_loss", "transducer", "logits, `blank=k - 1` for its -1; no `clamp` of the gradient"),
        Name("k2 rnnt_loss", "transducer", "`termination_symbol` is `blank`"),
        Name(
            "k2, fast_rnnt rnnt_loss_simple",
            "additive_transducer",
            "`am`, `lm`: acoustic and text; any gap between them",
        ),
        Name("warp-transducer, Paddle RNNTLoss", "transducer", "always logits; Paddle's `fastemit_lambda=0`"),
        Name("pytorch-crf CRF", "crf", "minus it: a cost, not a log-likelihood; its mean, where theirs is a sum"),
        Name("TF Addons crf_log_likelihood", "crf", "minus it"),
        Name("OTT SoftDTW", "soft_dtw", "the same `gamma` and `debiased`; `distance=` is the ground cost"),
        Name("tslearn SoftDTWLossPyTorch", "soft_dtw", "`normalize=True` is `debiased=True`"),
        Name("pytorch-softdtw-cuda SoftDTW", "soft_dtw", "`bandwidth` is a share of the length, and series may differ"),
    ),
    (),
    (),
)

DETECTORS = Library(
    "Detection",
    "Read in torchvision.ops, mmdetection, ultralytics, TensorFlow Addons and scenic, which are not called. Boxes are "
    "(x1, y1, x2, y2) with no pixel added, compared one by one; `avg_factor` is `weights=` or a Tally.",
    (
        Name("mmdetection IoULoss", "iou", "`1 - IoU`; theirs is `-log IoU` by default"),
        Name("torchvision generalized_box_iou_loss", "giou", "equal points cost 0, and an inverted box earns nothing"),
        Name("torchvision distance_box_iou_loss", "diou", "no epsilon"),
        Name("torchvision complete_box_iou_loss", "ciou", "`hold_trade_off=True` has their gradient"),
        Name(
            "mmdetection CIoULoss",
            "ciou",
            "`hold_trade_off=True`, but theirs drops the term where the IoU is below 0.5",
        ),
        Name(
            "Focal-EIoU", "eiou", "`weights=` a power of the IoU, stopped; the EIoULoss of mmdetection is another loss"
        ),
        Name(
            "mmdetection DistributionFocalLoss, ultralytics DFLoss",
            "distribution_focal",
            "the last bin is a target too",
        ),
        Name("mmdetection QualityFocalLoss", "quality_focal", "targets `[n, k]` with the IoU in the class's column"),
        Name("mmdetection VarifocalLoss", "varifocal", "the same defaults"),
        Name("mmdetection GaussianFocalLoss, CenterNet", "gaussian_focal", "of logits; over the peaks by a Tally"),
    ),
    (),
    (),
)

PICTURES = Library(
    "Images and sounds",
    "Read in kornia, MONAI, piq, torchmetrics, TensorFlow and auraloss, of which kornia, MONAI and torchmetrics are "
    "called by `make test-peers-vision`. Images are channels last.",
    (
        Name("kornia ssim_loss", "ssim", "twice it; windows inside the image only, where theirs are padded"),
        Name("MONAI SSIMLoss, piq SSIMLoss", "ssim", "no negative variance; `max_value=255` for bytes"),
        Name("piq MultiScaleSSIMLoss", "ms_ssim", "1 minus the similarity; a negative factor counts as 0"),
        Name("torchmetrics total_variation, kornia total_variation", "total_variation", "the sum over an image"),
        Name("auraloss MultiResolutionSTFTLoss", "multi_resolution_stft", "the floor of silence is `power_floor`"),
        Name("auraloss SISDRLoss", "scale_invariant_sdr", "`zero_mean=False`, and nothing is added"),
        Name("torchmetrics scale_invariant_signal_distortion_ratio", "scale_invariant_sdr", "its negative"),
    ),
    (),
    (),
)


READ = (TRAINERS, GENERATIVE, RANKERS, SURVIVAL, SEGMENTERS, TRANSPORT, EMBEDDINGS, SEQUENCES, DETECTORS, PICTURES)

"""Every public loss of optax, torch and keras, and where it is here."""

from jaxloss.names.table import Library, Name

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
        Name("binary_dice_loss", "dice", "of probabilities; `smooth=0`, and twice theirs is the same"),
        Name("dice_loss", "dice", "of probabilities, `[b, c, n]`; `smooth=0`, and twice theirs is the same"),
    ),
    (
        (
            "multiclass_generalized_dice_loss",
            "not `jaxloss.generalized_dice` but a weighted mean over the classes: `jaxloss.dice(..., weights=)`",
        ),
        (
            "ranking_softmax_loss",
            "`jaxloss.listwise_softmax`; `where=` is `item_mask`, and `weights` go into the targets",
        ),
        (
            "ntxent",
            "`jaxloss.nt_xent(first, second, temperature=0.07)` where each class has two members, the views; of more "
            "than two it is another loss",
        ),
        ("ctc_loss", "`jaxloss.ctc`; `frame_mask=logit_paddings == 0`, `label_mask=label_paddings == 0`"),
    ),
    ("ctc_loss_with_forward_probs",),
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
        Name("cosine_embedding_loss", "cosine_embedding", "no epsilon; a target that is neither 1 nor -1 gives NaN"),
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
        (
            "ctc_loss",
            "`jaxloss.ctc` of logits, batch first; `frame_mask=jnp.arange(t) < lengths[:, None]`; a mean there divides "
            "by the number of labels, too",
        ),
    ),
    ("hinge_embedding_loss", "multilabel_margin_loss"),
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
        Name("dice", "dice", "of a region each; keras pools the batch unless `axis` is given"),
        Name("circle", "circle", "(embeddings, labels), normalised inside; references are members of the batch"),
        Name("tversky", "tversky", "alpha weighs false positives; in keras 3.15 it weighs false negatives"),
    ),
    (("ctc", "`jaxloss.ctc`, with masks in place of lengths"),),
    (),
    ("deserialize", "get", "serialize"),
)

INSTALLED = (OPTAX, TORCH, KERAS)

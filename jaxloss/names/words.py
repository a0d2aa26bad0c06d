"""What people look for that is no loss: arguments of other libraries, and tasks."""

LABELS = "softmax_cross_entropy_with_integer_labels"

WORDS = {
    "class_weight": "`weights=class_weights[jnp.maximum(labels, 0)]`, on any loss of labels",
    "distributed": "`jaxloss.reduce(loss, axis_name='data')` inside shard_map: the mean over all devices",
    "evaluation": "`loss.finish(sum(loss.tally(*batch) for batch in data))`: the mean over a data set",
    "from_logits": "the first argument's name says what a loss takes: `logits`, `probabilities`, `log_probabilities`",
    "fused": "`jaxloss.linear_softmax_cross_entropy(hidden, labels, kernel)`: the logits are never there all at once",
    "gradient_accumulation": "`jaxloss.value_and_grad(cost, microbatch_size=32)`, of a cost that returns a Tally",
    "ignore_index": "`where=labels != -100`, on any loss of labels",
    "label_smoothing": f"`label_smoothing=` of `jaxloss.{LABELS}` and of its kin",
    "mask": "`where=mask` says which values count; an argument named `..._mask` leaves out slots inside an item",
    "microbatch": "`jaxloss.value_and_grad(cost, microbatch_size=32)`, of a cost that returns a Tally",
    "perplexity": "`jnp.exp` of the mean cross entropy over all tokens: "
    "`jnp.exp(loss.finish(sum(tallies)))` with `loss.tally(logits, labels, where=mask)` of each batch",
    "pos_weight": "`positive_weight=` of `jaxloss.sigmoid_binary_cross_entropy`",
    "reduction": "`jaxloss.reduce(loss, 'mean')`, 'sum' or 'none'; a plain call is the mean",
    "rmse": "`jaxloss.reduce(jaxloss.squared_error, lambda tally: jaxloss.numerics.safe_sqrt(tally.mean))`",
    "sample_weight": "`weights=`, by whose sum a mean is divided",
    "sigmoid_focal_loss": "`jaxloss.sigmoid_focal`, whose alpha is None where torchvision has 0.25",
    "soft_targets": "`jaxloss.softmax_cross_entropy(logits, targets)`",
    "z_loss": f"`z_loss=` of `jaxloss.{LABELS}` and of `jaxloss.linear_softmax_cross_entropy`",
}

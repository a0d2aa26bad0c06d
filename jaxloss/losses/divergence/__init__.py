"""Divergences D(p || q), arguments in that order: of distributions over classes, from logits, of Gaussians."""

"""Likelihoods and proper scores: what a predicted distribution costs at the outcome."""

"""Detection: how far a predicted box is from the true one, and what its scores cost."""

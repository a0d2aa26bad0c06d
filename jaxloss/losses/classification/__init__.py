"""Classification: from probabilities as the textbook writes them, and from logits as one trains."""

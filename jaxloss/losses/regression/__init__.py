"""Regression: losses of real numbers, by their error or their ratio."""

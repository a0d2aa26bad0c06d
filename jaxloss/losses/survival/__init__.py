"""Survival: what a predicted time of an event costs, where some times are censored."""

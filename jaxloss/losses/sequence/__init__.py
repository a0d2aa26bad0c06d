"""Sequences: sums over all alignments, by dynamic programming. One item is one sequence."""

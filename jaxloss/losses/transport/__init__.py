"""Transport and distances of distributions: one item is two sets of points, or two Gaussians.

Sets may be weighed, by masses that are brought to the sum 1. A point without mass is not there: it may hold anything.
"""

"""Learning to rank: one item is one list of documents, with a score and a graded relevance each.

The means are over the pairs of one list. For the mean over all pairs of a batch pass the number of pairs as `weights=`.
"""

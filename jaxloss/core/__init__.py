"""The mechanism: how a formula about one item becomes a loss about many.

Read in this order: `types`, `term` (what an author wrote), `arguments` (what a caller passed), `words` (what to write
instead), `weighting` (what counts, and how much), `slots` (what counts inside an item), `replacement` (what takes the
place of the rest), `tally` and `compensated` (what adds up), `splitting` (how items are cut), `eager` (programs that
are kept), `loss`, `reduce` and `gradient` (what users see). Nothing here knows the name of any loss.
"""

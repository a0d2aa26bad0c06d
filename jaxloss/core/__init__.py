"""The mechanism: how a formula about one item becomes a loss about many.

Read in this order: `types`, `signature`, `term` (what an author wrote), `arguments` (what a caller passed),
`masking` (what counts), `reduction` (how much), `tally` (what adds up), `splitting` (how items are cut), `loss`,
`reduce` and `gradient` (what users see). Nothing here knows the name of any loss.
"""

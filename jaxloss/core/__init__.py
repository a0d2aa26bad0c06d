"""The mechanism: how a formula about one item becomes a loss about many. Nothing here knows the name of any loss.

A call becomes its number in this order: `loss` (what users see), `term` (what an author wrote), `call` (what a caller
passed, and `words`, what to write instead), `evaluation` (values, their sum, the last step), `weighting` (how much each
value counts), `slots` (what counts inside an item), `replacement` (what takes the place of the rest). Beside it stand
`tally` and `compensated` (what adds up), `reduce` (other steps), `chunks` (how items are cut), `gradient`
(micro-batches) and `eager` (programs that are kept).
"""

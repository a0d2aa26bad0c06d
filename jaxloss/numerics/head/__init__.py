"""The head of a language model: a loss of the softmax of `h W + b`, summed over rows, without its logits.

`row` is what a loss may know of one row of logits and what it passes back; `tile` the products of some rows by some
classes; `plan` how large a tile is, on which chip; `sweep` the loops and their derivatives; `link` makes ready what a
caller gives.
"""

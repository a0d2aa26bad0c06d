"""The head of a language model: a loss of the softmax of `h W + b`, summed over rows, without its logits.

`linear` makes ready what a caller gives; `link` is the loss of one row; `tile` the logits of some rows and classes;
`plan` how large a tile is, on which chip; `sweep` the loops and their derivatives.
"""

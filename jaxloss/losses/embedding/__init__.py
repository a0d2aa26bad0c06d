"""Embedding: losses that place vectors by their similarities and distances.

Of those that couple a batch one item is one batch, and a value is that of one anchor. `where` and `weights` say which
anchors are averaged, and how much: a weight of 2 is no copy, which would be one more positive and negative. The anchors
that `where` leaves out still serve the others; `item_mask` deletes a member altogether.

An anchor sees the members of its own call alone. So micro-batches and chunks of a batch are another loss, with fewer
negatives. What fits in memory is the encoder in parts and the loss whole, with the same gradient (GradCache):

    embed = lambda images: jax.lax.map(jax.checkpoint(encoder), images, batch_size=128)
    loss = clip(embed(images), embed(other_views))
"""

"""How the losses of embeddings are drawn: vectors on a circle, one of which turns; parts of `views`."""

from typing import Any

import jax.numpy as jnp

from jaxloss.cli.view import View, constant, each, row, view
from jaxloss.types import Array

_TURNS = "angle between a vector and its partner (degrees)"


def on_the_circle(degrees: Array) -> Array:
    """A unit vector in the plane."""
    return row(jnp.cos(jnp.deg2rad(degrees)), jnp.sin(jnp.deg2rad(degrees)))


def _beside(x: Array, *degrees: float) -> Array:
    """One vector at x, the others where they are."""
    return jnp.stack([on_the_circle(x), *(on_the_circle(0 * x + angle) for angle in degrees)])


def _fixed(x: Array, *degrees: float) -> Array:
    return jnp.stack([on_the_circle(0 * x + angle) for angle in degrees])


OF_ARRAYS: dict[str, tuple[View, ...]] = {
    "anchor(d), positive(d), negative(d)": (
        view(
            "distance from the anchor, of the one named; the other is at 1",
            0,
            3,
            positive=lambda x: (constant(x, 0.0, 0.0), row(x, 0), constant(x, 0.0, 1.0)),
            negative=lambda x: (constant(x, 0.0, 0.0), constant(x, 0.0, 1.0), row(x, 0)),
        ),
    ),
    "positive_distance, negative_distance": (
        view(
            "distance from the anchor, of the one named; the other is at 1",
            0,
            3,
            positive=lambda x: (x, 0 * x + 1),
            negative=lambda x: (0 * x + 1, x),
        ),
    ),
    "first(d), second(d), labels": (
        View(
            "distance between the vectors",
            0,
            2,
            each("label", (1, 0), lambda y, x: (row(x, 0), constant(x, 0.0, 0.0), jnp.asarray(y))),
        ),
    ),
    "first(d), second(d), target": (
        View(
            "angle between the vectors (degrees)",
            -180,
            180,
            each("target", (1, -1), lambda y, x: (on_the_circle(x), on_the_circle(0 * x), 0 * x + y)),
        ),
    ),
    "embeddings(d), labels, kernel(d,v)": (
        view(
            "angle to the direction of the label (degrees), the others at 120 and 240",
            -180,
            180,
            lambda x: (on_the_circle(x), jnp.asarray(0), _fixed(x, 0.0, 120.0, 240.0).T),
        ),
    ),
    "query(d), positive(d), negatives(m,d)": (
        view(
            "angle of a query with its positive (degrees); the negatives are at 90 and 180",
            -180,
            180,
            lambda x: (on_the_circle(x), on_the_circle(0 * x), _fixed(x, 90.0, 180.0)),
        ),
    ),
    "first(n,d), second(n,d)": (
        view(
            f"{_TURNS}; those of the two others are equal, at 120 and 240",
            -180,
            180,
            lambda x: (_beside(x, 120.0, 240.0), _fixed(x, 0.0, 120.0, 240.0)),
        ),
    ),
    "embeddings(n,d), labels(n)": (
        view(
            "angle of one of two members of a class (degrees); the other is at 0, two of another class at 150 and 180",
            -180,
            180,
            lambda x: (_beside(x, 0.0, 150.0, 180.0), jnp.asarray([0, 0, 1, 1])),
        ),
    ),
    "embeddings(n,d), labels(n), proxies(v,d)": (
        view(
            "angle of one of two members of a class with its proxy (degrees); that of another class is at 150",
            -180,
            180,
            lambda x: (_beside(x, 0.0), jnp.asarray([0, 0]), _fixed(x, 0.0, 150.0)),
        ),
    ),
    "embeddings(n,d)": (
        view(
            "angle of one of three vectors (degrees), the others are at 120 and 240",
            -180,
            180,
            lambda x: (_beside(x, 120.0, 240.0),),
        ),
    ),
}

OPTION_OF_A_LOSS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "contrastive": ("margin", (1.0, 0.5)),
    "cosine_embedding": ("margin", (0.0, 0.5)),
    "arcface": ("margin", (0.0, 0.5)),
    "cosface": ("margin", (0.0, 0.35)),
    "info_nce": ("temperature", (0.07, 0.2, 0.5)),
    "clip": ("temperature", (0.07, 0.2, 0.5)),
    "siglip": ("temperature", (0.1, 0.2, 0.5)),
    "nt_xent": ("temperature", (0.1, 0.2, 0.5)),
    "multi_similarity": ("mining_margin", (0.1, float("inf"))),
    "circle": ("margin", (0.25, 0.4)),
    "proxy_anchor": ("alpha", (8.0, 32.0)),
    "dino": ("teacher_temperature", (0.04, 0.1, 0.5)),
    "uniformity": ("t", (1.0, 2.0, 4.0)),
    "barlow_twins": ("redundancy_weight", (0.005, 0.5)),
    "vicreg": ("covariance_weight", (1.0, 10.0)),
    "batch_hard_triplet": ("margin", (0.2, 1.0)),
    "batch_semi_hard_triplet": ("margin", (0.2, 1.0)),
    "batch_all_triplet": ("margin", (0.2, 1.0)),
    "supervised_contrastive": ("temperature", (0.1, 0.2, 0.5)),
}

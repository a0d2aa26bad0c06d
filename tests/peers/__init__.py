"""Ours beside optax, torch, keras and rax; `make test-peers`. Keras runs on JAX."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

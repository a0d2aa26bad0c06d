"""Ours beside MONAI, kornia, torchmetrics, pytorch-metric-learning and POT; `make test-peers-vision`."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what they say of others as they are imported
    import kornia.losses  # noqa: F401
    import monai.losses
    import monai.metrics  # noqa: F401
    import ot  # noqa: F401
    import pytorch_metric_learning.losses
    import pytorch_metric_learning.miners  # noqa: F401
    import torchmetrics.functional  # noqa: F401

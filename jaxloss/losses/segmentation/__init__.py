"""Segmentation: how far the pixels of a predicted region are from those of the true one."""

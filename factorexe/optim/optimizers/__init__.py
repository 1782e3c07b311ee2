"""Optimizers by name: options here, the algorithms are torch's."""

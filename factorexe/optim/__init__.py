"""From a loss to an update: which gradients, how they are merged and edited, which optimizer steps."""

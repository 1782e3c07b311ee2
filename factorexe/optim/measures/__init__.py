"""Which gradients a batch is asked for: one measure per file."""

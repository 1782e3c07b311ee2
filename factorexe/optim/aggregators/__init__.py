"""What becomes of several gradients: one rule per file."""

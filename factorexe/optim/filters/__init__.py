"""What becomes of the gradient that a step is about to use: one filter per file."""

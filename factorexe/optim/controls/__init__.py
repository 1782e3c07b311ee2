"""What is done around an update, the gradient aside: one control per file."""

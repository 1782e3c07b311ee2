"""Tasks: families of problems with a difficulty and a known step-by-step solution (NumPy, never torch)."""

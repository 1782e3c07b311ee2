"""Rare looks inside a model: one measurement per file.  They get tensors and callables, and change nothing."""

"""Depth: how many steps of its loop a model is trained with; one file each."""

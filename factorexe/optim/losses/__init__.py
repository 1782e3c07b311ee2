"""Losses of a token by name: one per file."""

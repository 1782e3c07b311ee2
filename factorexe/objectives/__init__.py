"""Objectives: what is trained. The answer alone, or the chain of intermediate steps before it."""

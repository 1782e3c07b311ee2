"""Callbacks watch a run and never steer it: one file per instrument."""

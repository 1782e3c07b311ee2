"""Plug-ins for factorexe: two tasks and a model."""

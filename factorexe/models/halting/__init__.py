"""Halting: the policies by which a looped model stops; one file each, options and object together."""

"""Models: tokens in, a weighted list of states out; one file each, options and network together."""

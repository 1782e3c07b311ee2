"""Many runs: a sweep is a file, a directory and any number of workers.

    sweep.yaml  ->  plan: runs, each with its id  ->  workers claim one after the other  ->  rows of results

A run of a sweep is a run like any other, in the directory that its content gives it, so what exists is never
computed twice: not when a sweep is started again, not when its grid has grown, not by two workers.
"""

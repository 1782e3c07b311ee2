"""Budget curves: what a trained model solves as a function of the compute that it may spend at test time.

    found = factorexe.budget(factorexe.load("runs/prefix-sum/universal-transformer/6868ff53928b"))
    [(point.value, point.scores["val"].compute) for point in found.curves[0].points]     (1, 14.9), (2, 29.1), ...

A *dial* is an option by which the model spends more or less without other weights; a *pass* answers every problem of
some splits with the dials in one position.
"""

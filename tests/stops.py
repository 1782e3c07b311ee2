"""A way to stop a run where a test wants it."""

from factorexe.callbacks.checkpoints import Stop


class StopAfter(Stop):
    """Is asked once per batch; requests after so many of them."""

    def __init__(self, batches):
        self.batches, self.asked = batches, 0

    @property
    def requested(self):
        self.asked += 1
        return self.asked > self.batches

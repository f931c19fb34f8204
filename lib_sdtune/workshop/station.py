"""What every place of the workshop has in common: one `Work` at a time, to be watched and stopped."""


class Station:
    """`work` is the latest one, None before the first."""

    def __init__(self, jobs):
        self.jobs, self.work = jobs, None

    def look(self):
        """{"work": how far it is, or null}"""
        return {"work": self.work.seen() if self.work else None}

    def stop(self):
        if self.work:
            self.work.stop()
        return self.look()

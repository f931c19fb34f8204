class State:
    skipped = interrupted = stopping_generation = False
    job, job_no, job_count, sampling_step, sampling_steps, textinfo = "", 0, 0, 0, 0, None

    def begin(self, job="(unknown)"):
        self.job, self.job_no, self.job_count, self.sampling_step, self.textinfo = job, 0, -1, 0, None
        self.skipped = self.interrupted = self.stopping_generation = False

    def end(self):
        self.job, self.job_count = "", 0

    def interrupt(self):
        self.interrupted = True

    def nextjob(self):
        self.job_no, self.sampling_step = self.job_no + 1, 0

    def dict(self):
        return {key: getattr(self, key) for key in ("skipped", "interrupted", "stopping_generation", "job", "job_count", "job_no",
                                                    "sampling_step", "sampling_steps")}

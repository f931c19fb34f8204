"""Pictures and captions from a page: albums of captions, folders being prepared, class pictures being drawn, steps being measured."""

from functools import cached_property


class Workshop:
    """`jobs` gives the host, the queue, and the folders that may be named."""

    def __init__(self, jobs):
        self.jobs = jobs

    @cached_property
    def albums(self):
        from lib_sdtune.workshop.albums import Albums

        return Albums(self.jobs)

    @cached_property
    def bench(self):
        from lib_sdtune.workshop.bench import Bench

        return Bench(self.jobs)

    @cached_property
    def classes(self):
        from lib_sdtune.workshop.classes import Classes

        return Classes(self.jobs)

    @cached_property
    def wizard(self):
        from lib_sdtune.workshop.wizard import Wizard

        return Wizard(self.jobs)

    @cached_property
    def looking(self):
        from lib_sdtune.workshop.looking import Looking

        return Looking(self.jobs)

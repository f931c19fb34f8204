"""How what takes a while says how far it is."""

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""progress(done, total, text): how many of how many, and of what; it may raise to stop the work."""

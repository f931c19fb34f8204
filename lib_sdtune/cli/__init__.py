"""The verbs of the command line, one per file: `arguments(parser)` declares, `run(args)` does it and gives the exit
code.
"""

INTERRUPTED = 130  # the exit code of a program that Ctrl+C ended, as shells have it

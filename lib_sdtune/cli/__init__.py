"""The verbs of the command line, one per file: `arguments(parser)` declares, `run(args)` does it and gives the exit
code.
"""

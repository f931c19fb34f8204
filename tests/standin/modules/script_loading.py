"""The modules that were loaded from scripts' files, by their path; they do not stand in sys.modules."""

loaded_scripts = {}

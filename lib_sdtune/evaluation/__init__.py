"""Which of a run's saved files is best, at which strength, and making it the one that is used."""

"""The tasks of the phases: pure functions from committed inputs to committed outputs."""

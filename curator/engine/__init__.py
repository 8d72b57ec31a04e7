"""Engines: what executes the phases of a plan."""

"""Exact repeats of some length, across documents and within one."""

"""Rows of Arrow batches as records."""

"""Readers: from files to records, for each format and compression."""

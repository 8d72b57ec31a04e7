"""Runs on a Ray cluster that another machine reaches by its dashboard: what is shipped, checked, watched and kept."""

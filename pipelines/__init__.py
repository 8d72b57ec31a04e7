"""Recipes and a sample corpus: data, no code."""

"""Recipes compared by what models learn from their shards."""

"""Curator: raw multilingual text in, training-ready Parquet shards out, with a record of what happened to every
document."""

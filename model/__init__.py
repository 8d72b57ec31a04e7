"""The language model and its trainer: a compact Mixture-of-Experts decoder, trained on the shards of runs."""

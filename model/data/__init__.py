"""What a training reads: the shards of runs, in an order that a seed sets, packed into sequences of tokens."""

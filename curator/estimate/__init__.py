"""What a run will take: a model of its phases, from measured rates."""

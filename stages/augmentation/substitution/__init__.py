"""New documents by putting similar noun phrases in the place of those that a parser finds."""

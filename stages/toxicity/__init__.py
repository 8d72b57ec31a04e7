"""Rules and a linear classifier for abusive text."""

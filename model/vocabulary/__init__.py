"""Vocabularies: what they are trained on, how fair they are, how they grow, how they are aligned and exported."""

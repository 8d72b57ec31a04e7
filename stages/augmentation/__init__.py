"""New documents for small languages: back-translation, and substitution of noun phrases."""

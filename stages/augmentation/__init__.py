"""New documents for small languages by back-translation."""

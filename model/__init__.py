"""The language model and its trainer. Nothing is here yet: the trainer is planned (see docs/roadmap.md)."""

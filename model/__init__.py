"""The language model. There are its kernels; model and trainer are planned (see docs/roadmap.md)."""

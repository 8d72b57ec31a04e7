"""Kernels for CPUs that Numba compiles, one file a subject; imported when a tensor needs them, never before."""

"""The Triton kernels and their launchers, one file an operation; imported when a tensor needs them, never before."""

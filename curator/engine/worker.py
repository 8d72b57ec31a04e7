"""What the fork server loads once, so that each worker process begins with it."""

import numba
import numpy
import pyarrow
import pyarrow.compute
import pyarrow.ipc

import curator.kernel
import curator.run.phases

__all__ = ["curator", "numba", "numpy", "pyarrow"]

"""What the fork server loads once, so that each worker process begins with it."""

import gc
import os
from pathlib import Path

import numpy
import pyarrow
import pyarrow.compute
import pyarrow.ipc

import curator.kernel
import curator.run.phases
from curator.allocator import keep_memory
from curator.arrow_alone import keep_pandas_out
from curator.collector import collect_seldom
from curator.engine.local import RECIPE_VARIABLE
from curator.run.warm import warm_up

__all__ = ["curator", "numpy", "pyarrow"]

collect_seldom()
keep_memory()
keep_pandas_out()
_recipe = Path(os.environ.get(RECIPE_VARIABLE, ""))
if _recipe.is_file():
    warm_up(_recipe.read_text())
    # The collector would write into every object that it looks at, and unshare its page.
    gc.collect()
    gc.freeze()

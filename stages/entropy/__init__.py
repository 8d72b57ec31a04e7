"""Stage `entropy`: text that says too little, or nothing at all."""

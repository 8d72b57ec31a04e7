"""Reading files of runs in a process of its own, with limits on memory and time."""

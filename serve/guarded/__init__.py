"""Reading files of runs, and the beginnings of inputs, in a process of its own, with limits on memory and time."""

"""Reading files of runs, beginnings of inputs, and what recipes name in a process of its own, with limits on memory and
time."""

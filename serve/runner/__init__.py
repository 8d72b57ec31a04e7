"""The runner: takes runs from the queue, has them worked on by processes of their own, and tells how they end."""

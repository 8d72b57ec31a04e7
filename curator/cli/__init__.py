"""The command line, the one place where everything is wired together."""

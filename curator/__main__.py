"""`python -m curator` is the command `curator`."""

from curator.cli.main import start

if __name__ == "__main__":
    start()

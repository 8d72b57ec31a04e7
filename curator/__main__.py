"""The command `curator`, which `python -m curator` is too. Ctrl-C ends it quietly while its modules are loaded, too."""

import sys


def main() -> None:
    """Run the command, and end the process."""
    try:
        from curator.cli.main import main as command

        command()
    except KeyboardInterrupt:
        from curator.errors import INTERRUPTED

        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()

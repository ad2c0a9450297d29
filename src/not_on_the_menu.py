"""The command ``not-on-the-menu``, also as ``python -m not_on_the_menu``."""

import sys


def main() -> int:
    """Run the command; Ctrl-C ends it with a line even while the libraries are still loading."""
    try:
        from helpers.analysis.command import run_command

        return run_command()
    except KeyboardInterrupt:
        print("Stopped: nothing was written.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

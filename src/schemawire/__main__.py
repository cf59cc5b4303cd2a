"""`python -m schemawire`."""

from schemawire.cli import main

if __name__ == "__main__":
    main()

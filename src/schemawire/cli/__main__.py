"""`python -m schemawire.cli`."""

from schemawire.cli import main

if __name__ == "__main__":
    main()

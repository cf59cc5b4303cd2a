"""The front door: handler, client, schema types, options and errors."""

__version__ = "0.1.0"

"""The whole HTTP interface under generated requests, by schemathesis in an environment of its own."""

"""How to ask a language model for a schema and what to make of its answers; sends nothing itself."""

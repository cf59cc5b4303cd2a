"""Sentences about an existing schema to operations on it; stores nothing and changes nothing by itself."""

"""Rows in, files out, and back: what is on disk and how it is checked."""

"""Texts longer than a row in, windows of them out."""

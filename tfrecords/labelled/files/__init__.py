"""Labelled files in, their rows as text out."""

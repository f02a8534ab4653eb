"""Runs in, whole pages about one, about a search, about several out."""

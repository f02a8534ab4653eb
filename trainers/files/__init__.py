"""A run's folder: its names, its lock, its events."""

"""Measures of tasks, on NumPy arrays and strings; one file for each task."""

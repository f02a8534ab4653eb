"""Rows in, rows with hidden tokens out, by (seed, epoch, row) alone."""

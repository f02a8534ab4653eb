"""A file of rows in, a file of answers out, of any size and after any kill."""

"""A file for each kind of task: how it reads, learns, judges, is served."""

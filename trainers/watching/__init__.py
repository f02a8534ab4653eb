"""Steps in, figures out: logs, progress and what the machine does."""

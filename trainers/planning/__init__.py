"""Settings in, what a run will do and cost out, before it starts."""

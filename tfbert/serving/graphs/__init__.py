"""Raw strings in, answers out: the graph of each kind of task."""

"""A model and its optimizer in, files that a run goes on from out."""

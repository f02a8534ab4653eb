"""Variables in, files of weights out, and back; no model is known here."""

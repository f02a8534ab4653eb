"""What a run is exported as, and how an export is asked and answers."""

"""Files of runs in, pages for people out."""

"""Files of any kind in, documents of text out."""

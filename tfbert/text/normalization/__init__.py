"""Text in, text as BERT normalises it out: tables of Unicode for TensorFlow."""

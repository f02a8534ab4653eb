"""Counted words in, a WordPiece vocabulary out, and its file."""

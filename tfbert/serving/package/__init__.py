"""Graphs in, a folder that TF Serving loads out."""

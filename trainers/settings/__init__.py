"""Command lines and YAML files in, checked settings out."""

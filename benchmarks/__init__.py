"""Measurements, beside peers and beside other builds; nothing imports it."""

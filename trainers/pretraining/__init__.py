"""Records in, a pretrained encoder out."""

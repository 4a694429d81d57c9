"""Small statistics of plain text."""

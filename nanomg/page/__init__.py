"""What a view of a result is made of: blocks, cells, pictures."""

"""The solver as machine code: a model's own operations as straight-line vector code, compiled in the process."""

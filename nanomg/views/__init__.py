"""Views of a result: plots, reports, comparisons, diagnosis."""

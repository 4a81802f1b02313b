"""How far tumour Mg can rise given parameter uncertainty."""

"""One training under a person's eye: what the guard takes back, and how soon a wish is carried out."""

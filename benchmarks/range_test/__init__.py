"""The learning-rate range test against a grid of full trainings, beside the rules of other packages."""

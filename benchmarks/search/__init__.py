"""How good the configurations are that Tunewell and its peers find, for the same number of evaluations."""

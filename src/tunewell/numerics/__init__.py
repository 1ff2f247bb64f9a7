"""Arrays in, arrays out: the mathematics, which knows no trial."""

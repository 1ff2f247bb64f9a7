"""Functions of a history: reports, statistics, diagnosis."""

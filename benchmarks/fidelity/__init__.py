"""Learning curves of small real networks, recorded once, on which tuners that stop trainings early are compared."""

"""What survives: journals, and the codec of their events."""

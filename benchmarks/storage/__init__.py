"""What storage costs: trials and reports per second, opening a large study, several processes on one study."""

"""What an order of importance is worth: the tiered strategy against searches that vary everything at once."""

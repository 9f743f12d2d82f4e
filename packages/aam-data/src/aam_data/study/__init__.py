"""Files to one aligned `Study`."""

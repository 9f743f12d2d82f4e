"""Reading damaged files in a process that may hang or crash without harm."""

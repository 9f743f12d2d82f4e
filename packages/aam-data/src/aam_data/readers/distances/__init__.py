"""Distance matrices and Faith's PD from files."""

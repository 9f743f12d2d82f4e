"""UniFrac distances and Faith's PD from a tree."""

"""Container definitions, and the test that a container passes."""

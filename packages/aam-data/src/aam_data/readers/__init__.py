"""Files to arrays: every format that people bring, checked."""

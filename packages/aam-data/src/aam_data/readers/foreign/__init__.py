"""Recognition of files in formats that AAM does not read, to say what they are and what to do."""

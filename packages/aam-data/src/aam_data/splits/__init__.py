"""Training, validation, test and calibration samples."""

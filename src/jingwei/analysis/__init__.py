"""The laboratory: validity, compliance, air quality. Arrays in, results out; no I/O, no Django."""

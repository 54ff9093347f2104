"""Room: the rows and pages of the evidence log."""

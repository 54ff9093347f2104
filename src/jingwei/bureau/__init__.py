"""The office, where people act: one Django app a room."""

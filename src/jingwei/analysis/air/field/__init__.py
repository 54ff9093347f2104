"""Field experiments and synthetic cities that the air models are measured against."""

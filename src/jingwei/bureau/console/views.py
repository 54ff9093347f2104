"""Home, health, and error pages."""

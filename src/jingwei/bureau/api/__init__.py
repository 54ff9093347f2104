"""Room: The machine interface (OpenAPI)."""

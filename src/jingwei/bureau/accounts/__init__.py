"""Room: departments, users, roles, jurisdictions."""

"""Room: rectification lists, special campaigns, four-step supervision: many problems, one board."""

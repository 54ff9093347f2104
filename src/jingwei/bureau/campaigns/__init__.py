"""Room: Rectification lists, special campaigns, four-step supervision: many problems, one board."""

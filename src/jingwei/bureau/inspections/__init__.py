"""Room: Inspections on the spot: plans, verifiable draws, checklists, records."""

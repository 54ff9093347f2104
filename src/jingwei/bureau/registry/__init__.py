"""Room: regions, enterprises, permits, outlets, points."""

"""Air: how pollution spreads, and where it came from. Arrays in, results out.

`boundary`, `spread`, `rise`, `loss`: the parameterisations; `plume`: one steady plume; `puffs`:
hourly fields and station series of a whole city; `tracing`: from measurements back to sources;
`field`: the experiments that they are measured against.
"""

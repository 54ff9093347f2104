"""Air: how pollution spreads, and where it came from. Arrays in, results out.

`boundary`, `spread`, `rise`, `loss`: the parameterisations; `plume`: one steady plume; `puffs`:
hourly fields and station series of a whole city; `tracing` and `attribution`: from measurements back
to sources, `investigate` the same from files (`jingwei trace-files`); `receptor`: where the wind brings
it from;
`apportion`: factors and source profiles; `forecast`: the next 48 hours; `statistics`: trends;
`hotgrids`: cells that stay high; `meteorology`: weather from gridded files (`gridded`);
`field`: the experiments that they are measured against.
"""

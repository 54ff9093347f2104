"""Room: analysis over the lake: exceedances, transmission rates, point and map pages."""

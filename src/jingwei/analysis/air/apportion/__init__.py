"""Who made what was measured: factors (`pmf`), known profiles (`cmb`), names (`profiles`)."""

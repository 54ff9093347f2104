"""Room: the one stream of findings, from every source."""

"""Room: Messages to people: what happened that concerns them, and the ways it reaches them."""

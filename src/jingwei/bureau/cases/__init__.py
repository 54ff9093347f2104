"""Room: the closed loop: flows, deadlines, orders."""

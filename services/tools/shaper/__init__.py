"""The shaper: runs beside one host of the lab, in that host's network namespace, and breaks what leaves it, packet by packet."""

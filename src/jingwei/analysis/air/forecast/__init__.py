"""48 hours ahead, hour by hour, for every station: level, quantiles, class of the index.

`history`: what was measured; `weather`: what is forecast of the weather; `cases`: one row for a
start, a station and a lead; `model`: what learns; `verify`: what it is worth against persistence.
"""

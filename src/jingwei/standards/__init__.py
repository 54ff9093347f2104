"""What law and standards say: codes, limits, marks, formulas, indices, working days.

Data tables and pure functions; each one cites its source (standard, clause).
"""

"""Room: Administrative penalties: from facts to a decision, with discretion shown step by step."""

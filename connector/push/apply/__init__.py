"""The plan carried out: check again, journal, write, read back; results, and the plan for the way back."""

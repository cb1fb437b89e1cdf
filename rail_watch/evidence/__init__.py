"""Evidence: a finding with all it rests on in one file, and its replay elsewhere."""

"""From what was observed to what the status says: pure, in one ordered chain of policies."""

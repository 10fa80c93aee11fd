"""From an event to a true cluster: queue, gather, apply, prune, report."""

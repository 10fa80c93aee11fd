"""What the node agents say: received, kept, and judged for each engine."""

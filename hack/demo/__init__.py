"""The demo: a control plane, four simulated GPU nodes, the operator, and what it says of them."""

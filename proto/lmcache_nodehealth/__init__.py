"""The protocol between node agents and the operator coordinator: generated code only."""

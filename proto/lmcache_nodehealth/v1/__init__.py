"""Version 1 of the protocol. Fields are only ever added; see nodehealth.proto."""

"""What other libraries do for log-ins: passkeys (FIDO2), encryption at rest, QR codes."""

"""The telemetry protocol HJ 212: bytes to messages and back, versions 2005, 2017 and 2025. Pure."""

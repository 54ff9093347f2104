"""The wire and the stores: gateway, journal, lake, ingest, replay. No Django."""

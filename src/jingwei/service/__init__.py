"""The processes of a running system: set-up, supervisor, worker, web server."""

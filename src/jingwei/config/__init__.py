"""Settings, URLs, WSGI entry, and the processes that make up a running system."""

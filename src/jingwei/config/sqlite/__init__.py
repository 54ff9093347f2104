"""Django's SQLite backend with a shorter wait for the write lock; `base` is what Django looks for."""

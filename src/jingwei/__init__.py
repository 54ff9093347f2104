"""Jingwei 泾渭: what monitors report about pollution, turned into supervision that anyone can verify."""

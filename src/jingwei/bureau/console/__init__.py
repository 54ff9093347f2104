"""Room: the shell of the web console: layout, navigation, home, design system."""

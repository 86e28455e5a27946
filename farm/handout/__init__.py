"""What a native runner is handed to build a dependent by cibuildwheel: source, configuration, wheels, catalog."""

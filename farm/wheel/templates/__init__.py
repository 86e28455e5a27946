"""Files that are filled in and put into every native wheel."""

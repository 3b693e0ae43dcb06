"""The main space of each company on disk: `company/<slug>/`, views of rows under git (design, 9)."""

"""The main space of a company on disk: `company/<slug>/`, views of rows under git (design, 9)."""

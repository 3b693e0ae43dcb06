"""The dashboard: live pages for operators, mounted at `/app` (docs/explanation/dashboard.md)."""

"""Draws the report document: JSON, HTML, JUnit, Markdown. Knows nothing of how a verdict came about."""

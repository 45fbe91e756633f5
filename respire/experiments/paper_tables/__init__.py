"""The paper's tables: variants of a recipe beside what it printed."""

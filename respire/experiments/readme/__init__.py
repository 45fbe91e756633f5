"""The README's pictures and result rows, made from committed results.json."""

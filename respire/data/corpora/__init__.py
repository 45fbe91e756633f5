"""One file a corpus: recordings as found, checked."""

"""Images to logits."""

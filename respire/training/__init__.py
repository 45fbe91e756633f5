"""Stage 1 and stage 2 training: plain PyTorch, and thin Ray shells around it."""

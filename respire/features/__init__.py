"""Cycles to images: bank, splices, log-mel spectrogram; all batched, on the device."""

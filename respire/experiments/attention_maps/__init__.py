"""Where a network looks without and with blank region clipping."""

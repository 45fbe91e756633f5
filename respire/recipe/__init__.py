"""Every choice that changes a number: fields, presets, TOML files."""

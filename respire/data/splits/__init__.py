"""Who is held out: patients, official sides, cycles."""

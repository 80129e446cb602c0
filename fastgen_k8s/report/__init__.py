"""What the report stage shows, made from artifacts: clips and their metric, curves, times, speed, one page."""

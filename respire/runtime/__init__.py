"""Where runs live and compute: storage, Ray, MLflow, the processor."""

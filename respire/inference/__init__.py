"""A model folder, and answers for anyone's recordings; knows neither Ray nor MLflow."""

"""From a name and a device to weights and a predictor."""

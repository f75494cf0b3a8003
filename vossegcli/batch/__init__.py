"""Run a batch: plan its items, skip what is done, record what fails, spread the work."""

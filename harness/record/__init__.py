"""The data that crosses between upgrade, traffic, verdict and report. Knows nothing of how it is gathered."""

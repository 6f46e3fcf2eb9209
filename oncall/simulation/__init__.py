"""Whole nights on a virtual clock: arrivals by the model, readers who take their true time, the real engine between."""

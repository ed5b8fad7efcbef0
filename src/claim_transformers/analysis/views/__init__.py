"""Views: attention, embedding, plots and the report of a run."""

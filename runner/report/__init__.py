"""Numbers and pages from what happened: values in, text out."""

"""The ingest service: webhooks are verified, parsed, appended, and only then answered 2xx."""

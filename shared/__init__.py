"""What both services share: words, data in Redis, providers, handlers. Imports neither service."""

"""``/console``: the page, and the stream that tells it what is going on."""

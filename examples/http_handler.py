"""
A handler that is an HTTP endpoint. In two terminals:

    python http_handler.py
    INTURN_HANDLER=http://127.0.0.1:9000/answer inturn up

It verifies nothing: before others can reach it, set INTURN_HANDLER_SECRET and check the signature.
"""

import json

from aiohttp import web


async def answer(request: web.Request) -> web.Response:
    """Print the window, answer with one text. A 204 would send nothing."""
    window = await request.json()
    print(json.dumps(window, indent=2, ensure_ascii=False), flush=True)
    return web.json_response({"reply": f"You wrote: {window['text']}"})


app = web.Application(client_max_size=64 * 1024 * 1024)
app.router.add_post("/answer", answer)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=9000)

"""A local server that speaks the OpenAI chat protocol and answers from a list."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Model:
    """``answers``: a text, a list of (tool, arguments), an HTTP status to fail with, a whole
    answer (a dict, or bytes as they are sent), a status with headers, or a function that gives
    one of these."""

    answers: list[Any]
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)  # as they were sent
    url: str = ""

    def next(self) -> Any:
        return self.answers.pop(0) if self.answers else "Nothing more to do."


def completion(answer: Any, model: str) -> dict[str, Any]:
    """A chat completion with a text or tool calls."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    if isinstance(answer, str):
        message["content"] = answer
    else:
        message["tool_calls"] = [
            {
                "id": f"c{n}",
                "type": "function",
                "function": {
                    "name": tool,
                    "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments),
                },
            }
            for n, (tool, arguments) in enumerate(answer)
        ]
    reason = "stop" if isinstance(answer, str) else "tool_calls"
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "finish_reason": reason, "message": message}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }


def ended(answer: Any, finish: str, **message: Any) -> dict[str, Any]:
    """A whole answer that ended for another reason than usual."""
    found = completion(answer, "test-model")
    found["choices"][0]["finish_reason"] = finish
    found["choices"][0]["message"] |= message
    return found


def _sent(answer: Any, model: str) -> bytes:
    if isinstance(answer, bytes):
        return answer
    return json.dumps(answer if isinstance(answer, dict) else completion(answer, model)).encode()


@contextmanager
def serve(answers: Sequence[Any]) -> Iterator[Model]:
    """Run the server on a free port of the loopback."""
    model = Model(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            model.asked.append(body)
            model.keys.append(self.headers.get("authorization", ""))
            answer = model.next()
            answer = answer() if callable(answer) else answer
            status, headers = answer if isinstance(answer, tuple) else (answer, {})
            data = b'{"error": {"message": "no"}}'
            if not isinstance(status, int):
                data, status = _sent(answer, body["model"]), 200
            self.send_response(status)
            for name, value in {"content-type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    model.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

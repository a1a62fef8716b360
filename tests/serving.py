"""An OpenAI-compatible server on loopback with given answers, and models that ask it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gram_eval.engines.openai import Policy
from gram_eval.models.endpoint import EndpointModel
from gram_eval.models.load import ModelOptions, load_model
from gram_eval.schema import Judgment, Message, Request, content_key

KEY = "sk-secret-0123456789abcdef"
FAST = Policy(first_wait=0.002, longest_wait=2.0)


def said(text: Any, finish: str = "stop", logprobs: Any = None) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return {"id": "x", "object": "chat.completion", "choices": [choice | {"logprobs": logprobs}], "usage": usage}


def tops(**values: float) -> dict[str, Any]:
    listed = [{"token": token.replace("_", " "), "logprob": value} for token, value in values.items()]
    return {"content": [{"token": "A", "logprob": -1.0, "top_logprobs": listed}]}


def refusal(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "x", "code": code}}


class Server:
    """Answers by `reply`, a function of the request's body; remembers what it was asked."""

    def __init__(self) -> None:
        self.reply: Callable[[dict[str, Any]], Any] = lambda body: said("[[A]]")
        self.bodies: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.active = self.most = 0
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server.lock:
                    server.bodies.append(body)
                    server.keys.add(self.headers.get("Authorization"))
                    server.active += 1
                    server.most = max(server.most, server.active)
                try:
                    found = server.reply(body)
                    status, content, headers = found if isinstance(found, tuple) else (200, found, {})
                    if self.path != "/v1/chat/completions":
                        status, content = 404, refusal(f"no such path {self.path}")
                finally:
                    with server.lock:
                        server.active -= 1
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in ({"Content-Type": "application/json"} | headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *args: None  # a client that went away
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def prompts(self) -> list[str]:
        return [body["messages"][0]["content"] for body in self.bodies]


def made(server: Server, kind: str = "openai", policy: Policy = FAST, **options: Any) -> EndpointModel:
    model = load_model(f"{kind}:org/judge@{server.url}", ModelOptions(**options))
    assert isinstance(model, EndpointModel)
    model._endpoint.policy = policy
    return model


def asking(*responses: str, prompt: str = "Why?") -> Request:
    key = content_key(prompt, responses)
    return Request(key, "s", tuple(range(len(responses))), (Message("user", prompt),), responses)


def judge(model: EndpointModel, *requests: Request) -> list[Judgment]:
    return [judgment for batch in model.plan(requests) for judgment in model.judge(batch)]


def better(body: dict[str, Any]) -> dict[str, Any]:
    """The verdict of a judge who knows the good answer, whichever order it is shown in."""
    prompt = body["messages"][0]["content"]
    return said(f"I see.\n[[{'A' if prompt.index('good') < prompt.index('bad') else 'B'}]]")

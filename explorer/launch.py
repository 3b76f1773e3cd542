"""How the page is served: its address, what the browser is sent beside it, and who may see it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware

from explorer.connections import closing
from explorer.headers import SecurityHeaders
from explorer.request_guard import PATIENCE, RequestGuard, names_of
from explorer.sign_in import RULE, SignIn

STATIC = Path(__file__).parent / "static"
SESSIONS = 40  # visitors whose last page Gradio keeps; older ones are forgotten, and lose nothing that they see
FONTS = ("Seravek", "Gill Sans Nova", "Open Sans", "Noto Sans", "Ubuntu", "Calibri", "Segoe UI", "DejaVu Sans", "sans-serif")
MONO = ("ui-monospace", "DejaVu Sans Mono", "monospace")


def serve(
    app: gr.Blocks, host: str, port: int, root_path: str = "", names: Sequence[str] = (), people: Sequence[tuple[str, str]] = ()
) -> None:
    """Serve the page until it is stopped, and say where.

    Args:
        root_path: where a reverse proxy shows the page, such as ``/bird``; empty for the root of its host.
        names: further host names by which the page may be addressed.
        people: name and password of each who may see the page; empty for everybody.

    Raises:
        ValueError: an address that cannot be listened on, or a path that is none.
    """
    try:
        app.launch(**launch_options(host, port, root_path, names, people), prevent_thread_lock=True, quiet=True)
    except OSError as error:
        raise ValueError(f"cannot listen on {host}, port {port}: in use, or not this machine's; choose another --port") from error
    settings = app.server.config
    settings.http_protocol_class = closing(settings.http_protocol_class, PATIENCE)
    print(f"The explorer is at {app.local_url} (Ctrl+C stops it).", flush=True)
    app.block_thread()


def launch_options(
    host: str = "127.0.0.1", port: int = 7860, root_path: str = "", names: Sequence[str] = (), people: Sequence[tuple[str, str]] = ()
) -> dict:
    """What :meth:`gradio.Blocks.launch` needs for this page: loopback, nothing shared, nothing served but the page; as :func:`serve`.

    Raises:
        ValueError: a ``root_path`` that is no path from the root.
    """
    root_path = root_path.rstrip("/")
    if root_path and not re.fullmatch(r"(/[\w.~-]+)+", root_path, re.ASCII):
        raise ValueError(f"--root-path: expected a path such as /bird, found {root_path[:60]!r}")
    script = (STATIC / "page.js").read_text(encoding="utf-8")
    return {
        "server_name": host,
        "server_port": port,
        "root_path": root_path or None,
        "auth": SignIn(people) if people else None,
        "auth_message": RULE if people else None,
        "share": False,
        "theme": gr.themes.Base(font=list(FONTS), font_mono=list(MONO)),
        "css_paths": [STATIC / "page.css"],
        "head": f"<script>{script}</script>",
        "footer_links": [],
        "run_history": False,
        "enable_monitoring": False,
        "mcp_server": False,
        "pwa": False,
        "ssr_mode": False,
        "state_session_capacity": SESSIONS,
        "strict_cors": True,
        "allowed_paths": [],
        "max_file_size": "1b",
        "app_kwargs": {"middleware": [Middleware(SecurityHeaders), Middleware(RequestGuard, names=names_of(host, names))]},
    }

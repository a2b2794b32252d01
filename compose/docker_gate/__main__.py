"""`python -m compose.docker_gate`: serve clients with a certificate of the platform's authority, until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl

from .gate import Gate
from .generator import TLS, Generator

PORT, HEAD_LIMIT = 2376, 16_384
SOCKET = "/run/docker.sock"


async def main() -> None:
    """Serve until SIGTERM; then wait until every container has ended."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=f"{TLS}/ca.pem")
    tls.load_cert_chain(f"{TLS}/tls.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    gate = Gate(Generator.of(os.environ), SOCKET)
    server = await asyncio.start_server(gate.serve, port=PORT, ssl=tls, limit=HEAD_LIMIT)
    serving = asyncio.create_task(server.serve_forever())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


if __name__ == "__main__":
    asyncio.run(main())

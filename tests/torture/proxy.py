"""A TCP proxy that disturbs: it stands between a loader and its server and does at given bytes what networks do."""

import contextlib
import select
import socket
import struct
import threading
import time

PIECE = 1 << 16
UP, DOWN = "up", "down"  # towards the server, towards the loader


class Fault:
    """One disturbance: what happens, after how many bytes in all, for how long."""

    def __init__(self, kind, at_bytes, seconds=0.0, direction=UP, scope="one"):
        self.kind, self.at_bytes, self.seconds, self.direction, self.scope = kind, at_bytes, seconds, direction, scope
        self.fired = None  # time.monotonic() of its begin

    def __repr__(self):
        return f"{self.kind}({self.direction}, {self.scope}) at byte {self.at_bytes} for {self.seconds:.2f} s"


class Frames:
    """Finds where frames of a WebSocket begin in one direction of a connection, behind the head of HTTP."""

    def __init__(self):
        self._head = b""
        self._skip = 0
        self._in_http = True

    def starts(self, data):
        """Offsets in `data` where the header of a frame begins. To be called with every piece, in order."""
        found, at = [], 0
        if self._in_http:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return []
            at = end + 4 - (len(self._head) - len(data))
            self._in_http, self._head = False, b""
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            if not self._head:
                found.append(at)
            self._head += data[at:at + 1]
            at += 1
            size = self._header_size()
            if size and len(self._head) == size:
                self._skip = self._payload()
                self._head = b""
        return found

    def _header_size(self):
        if len(self._head) < 2:
            return None
        length = self._head[1] & 0x7F
        return 2 + {126: 2, 127: 8}.get(length, 0) + (4 if self._head[1] & 0x80 else 0)

    def _payload(self):
        length = self._head[1] & 0x7F
        if length == 126:
            return struct.unpack(">H", self._head[2:4])[0]
        if length == 127:
            return struct.unpack(">Q", self._head[2:10])[0]
        return length


class Link:
    """One connection through the proxy: a thread per direction."""

    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.silent = set()  # directions whose bytes are dropped
        self.still_until = {UP: 0.0, DOWN: 0.0}
        self.slow_until = {UP: 0.0, DOWN: 0.0}
        self.slow_how = None
        self.corrupt = {UP: None, DOWN: None}
        self.spoilt_upgrade = None
        self.frames = {UP: Frames(), DOWN: Frames()}
        self.closed = threading.Event()
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self):
        for source, target, direction in ((self.client, self.server, UP), (self.server, self.client, DOWN)):
            threading.Thread(target=self._pump, args=(source, target, direction), daemon=True).start()

    def cut(self, reset=False):
        """Ends both sides: with FIN, or with RST."""
        if self.closed.is_set():
            return
        self.closed.set()
        for one in (self.client, self.server):
            with contextlib.suppress(OSError):
                if reset:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    one.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                one.close()

    def _pump(self, source, target, direction):
        try:
            while not self.closed.is_set():
                ready, _, _ = select.select([source], [], [], 0.5)
                if not ready:
                    continue
                data = source.recv(PIECE)
                if not data:
                    # A half-open link does not tell that one side went away.
                    if direction in self.silent:
                        self.closed.wait(30)
                    break
                self.proxy.forward(self, target, direction, data)
        except (OSError, ValueError):
            pass
        self.cut()
        self.proxy.forget(self)

    def send(self, target, direction, data):
        """Passes bytes on as the present disturbances of this link have it."""
        # A long stillness is waited for in small steps, so that the end of the proxy ends it.
        while (left := self.still_until[direction] - time.monotonic()) > 0:
            if self.closed.wait(min(left, 0.2)):
                return
        starts = self.frames[direction].starts(data)
        if direction in self.silent:
            return
        if self.spoilt_upgrade and direction == DOWN:
            data, self.spoilt_upgrade = spoilt(data, self.spoilt_upgrade), None
        if self.corrupt[direction] and starts:
            data = corrupted(data, starts[-1], self.corrupt[direction], direction)
            self.corrupt[direction] = None
        if time.monotonic() >= self.slow_until[direction]:
            target.sendall(data)
        elif self.slow_how == "delay":
            self.closed.wait(0.03)
            target.sendall(data)
        elif self.slow_how == "split":
            edge = min(len(data), 600)
            for at in range(edge):
                target.sendall(data[at:at + 1])
            target.sendall(data[edge:])
        else:  # throttle: about 100 kB/s
            for at in range(0, len(data), 1024):
                target.sendall(data[at:at + 1024])
                if time.monotonic() < self.slow_until[direction]:
                    self.closed.wait(0.01)


def corrupted(data, start, how, direction):
    """`data` with one header of a frame that no peer may accept: reserved bits, a reserved opcode, a wrong mask bit."""
    changed = bytearray(data)
    if how == "reserved":
        changed[start] |= 0x20
    elif how == "opcode":
        changed[start] = (changed[start] & 0xF0) | 0x0B
    elif start + 1 < len(changed):
        changed[start + 1] ^= 0x80
    else:
        changed[start] |= 0x10
    return bytes(changed)


def spoilt(data, how):
    """The answer to an upgrade, such that no client may take it."""
    if how == "status":
        return data.replace(b"HTTP/1.1 101", b"HTTP/1.1 1\xb11", 1)
    head, sep, rest = data.partition(b"Accept: ")
    return head + sep + bytes([rest[0] ^ 0x01]) + rest[1:] if sep else b"\x00" + data[1:]


class Proxy:
    """Listens on 127.0.0.1 and passes on to a port there; `faults` fire in the order of their bytes."""

    def __init__(self, upstream, faults=(), port=0):
        self.upstream = upstream
        self.up_bytes = self.down_bytes = 0
        self.faults = sorted(faults, key=lambda fault: fault.at_bytes)
        self.events = []
        self._next = 0
        self._lock = threading.Lock()
        self._links = set()
        self._listener = None
        self._refuse_until = 0.0
        self._answer = None  # what new connections get: None (they are passed on), "close", "busy", "silence"
        self._answer_until = 0.0
        self._spoilt_upgrade = None  # how the answer to the next upgrade is spoilt: "status", "accept"
        self._closing = False
        self.down = False
        self.port = port
        self._listen()
        threading.Thread(target=self._accept, daemon=True).start()

    # --- for cycles ---

    def close(self):
        self._closing = True
        self._stop_listening()
        self.cut_all()

    def cut_all(self, reset=False):
        for link in self._all_links():
            link.cut(reset)

    def go_down(self, reset=True):
        """As a host that dies: no new connections, the old ones end."""
        self.down = True
        self._stop_listening()
        self.cut_all(reset)

    def come_up(self):
        self.down = False
        self._listen()

    def fired(self):
        return [fault for fault in self.faults if fault.fired is not None]

    def busy_until(self):
        """When the last disturbance that fired is over."""
        return max((fault.fired + fault.seconds for fault in self.fired()), default=0.0)

    def disarm(self):
        """No further faults."""
        with self._lock:
            self._next = len(self.faults)

    # --- connections ---

    def _all_links(self):
        with self._lock:
            return list(self._links)

    def forget(self, link):
        with self._lock:
            self._links.discard(link)

    def _listen(self):
        with self._lock:
            if self._listener is not None or self._closing:
                return
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            self.port = listener.getsockname()[1]
            listener.listen(64)
            listener.settimeout(0.1)
            self._listener = listener

    def _stop_listening(self):
        with self._lock:
            listener, self._listener = self._listener, None
        if listener:
            # shutdown wakes the accept that holds the port open
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self):
        while not self._closing:
            listener = self._listener
            if listener is None:
                if not self.down and time.monotonic() >= self._refuse_until:
                    with contextlib.suppress(OSError):
                        self._listen()
                time.sleep(0.02)
                continue
            try:
                client, _ = listener.accept()
            except OSError:
                continue
            client.settimeout(None)
            threading.Thread(target=self._begin, args=(client,), daemon=True).start()

    def _begin(self, client):
        if self._answer and time.monotonic() < self._answer_until:
            with contextlib.suppress(OSError):
                self._answer_with(client, self._answer)
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.upstream), timeout=10)
            server.settimeout(None)
        except OSError:
            # The server is away: so is the proxy.
            with contextlib.suppress(OSError):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            return
        link = Link(self, client, server)
        with self._lock:
            self._links.add(link)
            link.spoilt_upgrade, self._spoilt_upgrade = self._spoilt_upgrade, None
        link.start()

    def _answer_with(self, client, how):
        if how == "busy":
            client.settimeout(5)
            client.recv(PIECE)
            client.sendall(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: text/plain\r\n"
                           b"Content-Length: 4\r\nConnection: close\r\n\r\nbusy")
        elif how == "bad gateway":
            client.settimeout(5)
            client.recv(PIECE)
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\nContent-Type: text/html\r\n"
                           b"Content-Length: 21\r\nConnection: close\r\n\r\n<html>502 bad</html>\n")
        elif how == "silence":
            client.settimeout(0.2)
            while time.monotonic() < self._answer_until and not self._closing:
                with contextlib.suppress(TimeoutError):
                    if not client.recv(PIECE):
                        break
        client.close()

    # --- bytes ---

    def forward(self, link, target, direction, data):
        """Passes on `data`, and does on the way what is due at its bytes."""
        while data:
            with self._lock:
                total = self.up_bytes + self.down_bytes
                due = self.faults[self._next] if self._next < len(self.faults) else None
                take = len(data)
                fires = due is not None and due.at_bytes < total + len(data)
                if fires:
                    take = max(0, due.at_bytes - total)
                    self._next += 1
                if direction == UP:
                    self.up_bytes += take
                else:
                    self.down_bytes += take
            if take:
                link.send(target, direction, data[:take])
                data = data[take:]
            if fires:
                self._fire(due, link)
            if link.closed.is_set():
                return

    def _fire(self, fault, link):
        fault.fired = time.monotonic()
        self.events.append(fault)
        links = self._all_links() if fault.scope == "all" else [link]
        until = fault.fired + fault.seconds
        directions = (UP, DOWN) if fault.direction == "both" else (fault.direction,)
        if fault.kind in ("cut", "reset"):
            for one in links:
                one.cut(reset=fault.kind == "reset")
        elif fault.kind == "stall":
            for one in links:
                for way in directions:
                    one.still_until[way] = until
        elif fault.kind == "half-open":
            for one in links:
                one.silent.update(directions)
        elif fault.kind in ("delay", "throttle", "split"):
            for one in links:
                one.slow_how = fault.kind
                for way in directions:
                    one.slow_until[way] = until
        elif fault.kind.startswith("corrupt upgrade "):
            self._spoilt_upgrade = fault.kind.removeprefix("corrupt upgrade ")
            link.cut()
        elif fault.kind.startswith("corrupt "):
            link.corrupt[directions[0]] = fault.kind.removeprefix("corrupt ")
        elif fault.kind == "refuse":
            self._refuse_until = until
            self._stop_listening()
            self.cut_all(reset=True)
        else:  # an answer for new connections: close, busy, bad gateway, silence
            self._answer, self._answer_until = fault.kind, until
            self.cut_all()

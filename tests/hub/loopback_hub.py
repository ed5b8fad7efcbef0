"""A model and dataset hub on 127.0.0.1 that answers the requests of the real `huggingface_hub` client.

It keeps whole commits in memory, checks the token and the parent commit, and can be told to fail or to cut the
connection at any request, so that tests see what a push leaves behind when the network breaks in the middle.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_loopback"
USER = "loopback"
LFS_SUFFIXES = (".safetensors", ".parquet", ".arrow", ".bin", ".pkl")
ID = r"(?P<id>[^/]+(?:/[^/]+)?)"


@dataclass
class Repo:
    """One repository: commits by sha, each a mapping of path to content; branches point at shas."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        text = json.dumps([len(self.commits), message, sorted(files)])
        sha = hashlib.sha1(text.encode()).hexdigest()
        self.commits[sha], self.messages[sha], self.branches[branch] = files, message, sha
        return sha

    def sha(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.branches.get(revision)


@dataclass
class Fault:
    """What goes wrong at the next `times` requests whose method and path match: a status, or a cut connection."""

    method: str
    path: str
    status: int | None = None
    cut: str | None = None  # "before" the request takes effect, or "after" it did but before the answer
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    meanwhile: Callable[[], object] | None = None  # done by somebody else just before the request takes effect


class LoopbackHub(ThreadingHTTPServer):
    """The hub; `url` is what `HF_ENDPOINT` has to be."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.RLock()
        self.forget()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> "LoopbackHub":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def forget(self) -> None:
        """Empty the hub, so that tests do not see each other's repositories.

        `dies_after` is the number of requests after which every further one is cut, as when the network goes away.
        """
        self.repos: dict[tuple[str, str], Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.dies_after: int | None = None

    def files(self, repo_id: str, kind: str = "model", revision: str = "main") -> dict[str, bytes]:
        repo = self.repos[kind, repo_id]
        return repo.commits[repo.branches[revision]]

    def take_fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times and fault.method == method and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes; Nagle would hold the second back for 40 ms at every answer.
    disable_nagle_algorithm = True
    server: LoopbackHub

    routes = (
        ("GET", r"/api/whoami-v2", "whoami"),
        ("POST", r"/api/validate-yaml", "validate_yaml"),
        ("POST", r"/api/repos/create", "create"),
        ("POST", rf"/api/(?P<kind>model|dataset)s/{ID}/branch/(?P<revision>[^/]+)", "branch"),
        ("POST", rf"/api/(?P<kind>model|dataset)s/{ID}/preupload/(?P<revision>[^/]+)", "preupload"),
        ("POST", rf"/api/(?P<kind>model|dataset)s/{ID}/commit/(?P<revision>[^/]+)", "commit"),
        ("POST", rf"/api/(?P<kind>model|dataset)s/{ID}/paths-info/(?P<revision>[^/]+)", "paths_info"),
        ("GET", rf"/api/(?P<kind>model|dataset)s/{ID}/tree/(?P<revision>[^/]+)(?:/(?P<path>.*))?", "tree"),
        ("GET", rf"/api/(?P<kind>model|dataset)s/{ID}/revision/(?P<revision>[^/]+)", "info"),
        ("GET", rf"/api/(?P<kind>model|dataset)s/{ID}", "info"),
        ("POST", rf"/(?:(?P<kind>dataset)s/)?{ID}\.git/info/lfs/objects/batch", "lfs_batch"),
        ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", "lfs_put"),
        ("GET", rf"/(?:(?P<kind>dataset)s/)?{ID}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "resolve"),
    )

    def log_message(self, *_: object) -> None:
        """Keep the test output clean."""

    def do_GET(self) -> None:
        self.dispatch("GET")

    def do_HEAD(self) -> None:
        self.dispatch("GET")

    def do_POST(self) -> None:
        self.dispatch("POST")

    def do_PUT(self) -> None:
        self.dispatch("PUT")

    def dispatch(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.body = self.read_chunks()
        self.server.requests.append(f"{self.command} {path}")
        self.fault = self.server.take_fault(self.command, path)
        died = self.server.dies_after is not None and len(self.server.requests) > self.server.dies_after
        if died or (self.fault and self.fault.cut == "before"):
            self.close_connection = True
            return
        if self.fault and self.fault.meanwhile:
            self.fault.meanwhile()
        if self.fault and self.fault.status:
            self.answer(self.fault.status, {"error": "planted"}, **self.fault.headers)
            return
        for route_method, pattern, name in self.routes:
            match = re.fullmatch(pattern, path)
            if match and route_method == method:
                with self.server.lock:
                    getattr(self, name)(**self.find(**match.groupdict()))
                return
        self.answer(404, {"error": "no such route"})

    def read_chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def find(self, **groups: str | None) -> dict[str, object]:
        """Turn the names in a path into the repository they mean."""
        if "id" not in groups:
            return dict(groups)
        key = (groups.pop("kind") or "model", str(groups.pop("id")))
        return {"key": key, "repo": self.server.repos.get(key), **groups}

    @property
    def authorised(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def answer(self, status: int, content: object = None, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        if self.fault and self.fault.cut == "after":
            self.close_connection = True
            return
        self.send_response(status)
        sent = {"Content-Length": str(len(body)), "Content-Type": "application/json", **headers}
        for name, value in sent.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str) -> None:
        self.answer(status, {"error": code}, X_Error_Code=code, X_Error_Message=code)

    def readable(self, repo: Repo | None, revision: str | None) -> str | None:
        """The sha a revision means, or `None` after the refusal has been sent."""
        if repo is None or (repo.private and not self.authorised):
            self.refuse(404, "RepoNotFound")
            return None
        sha = repo.sha(revision or "main")
        if sha is None:
            self.refuse(404, "RevisionNotFound")
        return sha

    def writable(self) -> bool:
        if not self.authorised:
            self.answer(401, {"error": "Invalid username or password."})
        return self.authorised

    def whoami(self) -> None:
        if self.writable():
            self.answer(200, {"name": USER, "type": "user", "orgs": []})

    def validate_yaml(self) -> None:
        self.answer(200, {"errors": [], "warnings": []})

    def create(self) -> None:
        if not self.writable():
            return
        wanted = json.loads(self.body)
        kind, name = wanted.get("type") or "model", f"{wanted.get('organization') or USER}/{wanted['name']}"
        url = f"{self.server.url}/{'datasets/' if kind == 'dataset' else ''}{name}"
        if (kind, name) in self.server.repos:
            self.answer(409, {"url": url, "error": "exists"})
            return
        repo = self.server.repos[kind, name] = Repo(private=wanted.get("visibility") == "private")
        repo.commit("main", {".gitattributes": b""}, "initial commit")
        self.answer(200, {"url": url, "name": name})

    def branch(self, key: tuple[str, str], repo: Repo, revision: str) -> None:
        if not self.writable():
            return
        if revision in repo.branches:
            self.answer(409, {"error": "exists"})
            return
        repo.branches[revision] = repo.branches["main"]
        self.answer(200, {})

    def preupload(self, key: tuple[str, str], repo: Repo | None, revision: str) -> None:
        if not self.writable() or self.readable(repo, revision) is None:
            return
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LFS_SUFFIXES) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(self.body)["files"]
        ]
        self.answer(200, {"files": files})

    def lfs_batch(self, key: tuple[str, str], repo: Repo | None) -> None:
        if not self.writable():
            return
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            known = wanted["oid"] in self.server.blobs
            href = {"href": f"{self.server.url}/lfs/{wanted['oid']}"}
            objects.append({**wanted} if known else {**wanted, "actions": {"upload": href}})
        self.answer(200, {"transfer": "basic", "objects": objects})

    def lfs_put(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            self.answer(400, {"error": "checksum"})
            return
        self.server.blobs[oid] = self.body
        self.answer(200, {})

    def commit(self, key: tuple[str, str], repo: Repo | None, revision: str) -> None:
        if not self.writable() or (sha := self.readable(repo, revision)) is None or repo is None:
            return
        lines = [json.loads(line) for line in self.body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        if header.get("parentCommit") not in (None, sha):
            self.answer(412, {"error": "A commit has happened since. Please refresh and try again."})
            return
        files = dict(repo.commits[sha])
        for line in lines:
            value, path = line["value"], line["value"].get("path")
            if line["key"] == "file":
                files[path] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[path] = self.server.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[path]
            elif line["key"] == "deletedFolder":
                files = {name: content for name, content in files.items() if not name.startswith(path)}
        oid = repo.commit(revision, files, header["summary"])
        self.answer(200, {"commitUrl": f"{self.server.url}/{key[1]}/commit/{oid}", "commitOid": oid})

    def info(self, key: tuple[str, str], repo: Repo | None, revision: str | None = None) -> None:
        if (sha := self.readable(repo, revision)) and repo:
            siblings = [{"rfilename": path} for path in sorted(repo.commits[sha])]
            about = {"id": key[1], "sha": sha, "private": repo.private, "siblings": siblings, "tags": []}
            self.answer(200, {**about, "gated": False, "disabled": False, "downloads": 0, "likes": 0})

    def tree(self, key: tuple[str, str], repo: Repo | None, revision: str, path: str | None = None) -> None:
        if (sha := self.readable(repo, revision)) and repo:
            inside = f"{path.rstrip('/')}/" if path else ""
            files = {name: content for name, content in repo.commits[sha].items() if name.startswith(inside)}
            if path and not files:
                self.refuse(404, "EntryNotFound")
                return
            recursive = "recursive=true" in self.path.lower()
            found: dict[str, dict[str, object]] = {}
            for name, content in sorted(files.items()):
                folders = name[len(inside) :].split("/")[:-1]
                for depth in range(len(folders) if recursive else min(len(folders), 1)):
                    folder = inside + "/".join(folders[: depth + 1])
                    found[folder] = {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0}
                if recursive or not folders:
                    found[name] = _describe(name, content)
            self.answer(200, list(found.values()))

    def paths_info(self, key: tuple[str, str], repo: Repo | None, revision: str) -> None:
        if (sha := self.readable(repo, revision)) and repo:
            is_json = self.body.startswith(b"{")
            text = unquote(self.body.decode().replace("+", " "))
            paths = json.loads(text)["paths"] if is_json else re.findall(r"paths=([^&]*)", text)
            files = repo.commits[sha]
            self.answer(200, [_describe(path, files[path]) for path in paths if path in files])

    def resolve(self, key: tuple[str, str], repo: Repo | None, revision: str, path: str) -> None:
        if (sha := self.readable(repo, revision)) is None or repo is None:
            return
        content = repo.commits[sha].get(path)
        if content is None:
            self.answer(404, {}, X_Error_Code="EntryNotFound", X_Repo_Commit=sha)
            return
        headers = {"X_Repo_Commit": sha, "ETag": f'"{hashlib.sha256(content).hexdigest()}"', "Accept_Ranges": "bytes"}
        headers["Content_Type"] = "application/octet-stream"
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, end = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
            headers["Content_Range"] = f"bytes {start}-{end}/{len(content)}"
            self.answer(206, content[start : end + 1], **headers)
        else:
            self.answer(200, content, **headers)


def _describe(path: str, content: bytes) -> dict[str, object]:
    """One file of a listing, with the fields of the hub's tree endpoint."""
    about = {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
    if path.endswith(LFS_SUFFIXES):
        about["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return about

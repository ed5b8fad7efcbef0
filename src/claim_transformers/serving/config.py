"""Configuration of the service, `serve.yaml`: whom it trusts, where it may ask, how much a request may cost.

What is not on a list is refused. A secret is named by an environment variable or a file and never written down here.
"""

import ipaddress
import os
import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import yaml

_MOST_OUTCOME, _MOST_TITLE = 60, 80
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+")


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the file: unknown names are refused."""


class _Secret(_Section, frozen=True, kw_only=True):
    """Where a secret is: exactly one of an environment variable and a file."""

    env: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        if (self.env is None) == (self.file is None):
            raise ValueError("expected a secret as the name of an environment variable (env) or a path (file)")

    def read(self) -> str:
        """The secret itself; an error names where it was looked for."""
        text = os.environ.get(self.env, "") if self.env is not None else Path(str(self.file)).read_text("utf-8")
        if not text.strip():
            raise ValueError(f"expected a secret in {self.env or self.file}, found nothing")
        return text.strip()


class TrustedClient(_Section, frozen=True, kw_only=True):
    """A client whose signed requests are taken: its issuer, and where its public keys are."""

    issuer: str
    jku: str | None = None
    jwks_file: str | None = None

    def __post_init__(self) -> None:
        if (self.jku is None) == (self.jwks_file is None):
            raise ValueError("expected the keys of a client as an address (jku) or a file (jwks_file)")
        if self.jku is not None:
            check_address(self.jku, "jku")


class _ServiceText(_Section, frozen=True, kw_only=True):
    """What the service is called: its id, and texts for people."""

    id: str = "claims-risk"
    title: str = "Risk from insurance claims"
    description: str = (
        "Estimates a risk from the insurance claims of the patient, with reasons, or says why it cannot."
    )
    source_label: str = "claim-transformers"
    source_url: str | None = None

    def __post_init__(self) -> None:
        if not self.id or not all(letter.isalnum() or letter in "-._" for letter in self.id):
            raise ValueError("expected letters, digits and -._ as the id of the service, found others")
        if not (0 < len(self.title) <= _MOST_TITLE and self.description and self.source_label):
            raise ValueError(f"expected a title of 1 to {_MOST_TITLE} characters, a description and a source_label")
        if self.source_url is not None:
            check_address(self.source_url, "source_url")


class SmartApp(_Section, frozen=True, kw_only=True):
    """The page behind the card: the client that it is registered as, who may launch it, and who may frame it."""

    client_id: str
    secret: _Secret | None = None
    issuers: tuple[str, ...] = ()
    frame_ancestors: tuple[str, ...] = ()
    link_label: str = "Why this risk"

    def __post_init__(self) -> None:
        for issuer in self.issuers:
            check_address(issuer, "issuers of smart")
        for origin in self.frame_ancestors:
            # It becomes part of a header.
            if check_address(origin, "frame_ancestors") != origin or not _ORIGIN.fullmatch(origin):
                raise ValueError("expected origins as frame_ancestors, such as https://ehr.example.org, found another")


class Limits(_Section, frozen=True, kw_only=True):
    """How much a request, and all of them together, may cost."""

    concurrency: int = 2
    waiting: int = 8
    request_bytes: int = 32 * 2**20
    read_seconds: float = 5.0
    fetch_seconds: float = 0.3
    fetch_bytes: int = 32 * 2**20
    fetch_pages: int = 20
    keys_seconds: float = 2.0
    page_seconds: float = 2.0
    token_seconds: int = 600
    drain_seconds: int = 20

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) <= 0 and not (name == "waiting" and self.waiting == 0):
                raise ValueError(f"expected {name} of limits above 0, found {getattr(self, name)}")


class SpeakRules(_Section, frozen=True, kw_only=True):
    """When the model may speak of a patient."""

    newest_claim_days: int = 400  # Age in days of the newest claim at most.
    unknown_code_share: float = 0.2  # Share of the codes in view that the checkpoint does not know, at most.
    unreadable_share: float = 0.5  # Share of the claim lines that could not be used, at most.
    look_back_days: int = 365  # Days before the date whose enrolment is counted.
    needs_stay: bool = False  # Whether the model was taught to stand on a discharge, and speaks nowhere else.

    def __post_init__(self) -> None:
        shares = (self.unknown_code_share, self.unreadable_share)
        if self.newest_claim_days < 1 or self.look_back_days < 1 or not all(0 <= share <= 1 for share in shares):
            raise ValueError("expected days of at least 1 and shares from 0 to 1 in speak, found others")


class _TlsFiles(_Section, frozen=True, kw_only=True):
    """Certificate and private key, where no proxy speaks TLS for the service."""

    certificate: str
    key: str


class ServeConfig(_Section, frozen=True, kw_only=True):
    """How a checkpoint is served.

    Args:
        base_url (`str`): Address under which clients call the service, without `/cds-services`.
        outcome (`str`): What the risk is of, such as `"Readmission within 30 days"`; at most 60 characters.
        feedback_file (`str`): File that feedback is appended to.
        fhir_servers (`tuple[str, ...]`): Base addresses that may be asked for what was not prefetched.
        clients (`tuple[TrustedClient, ...]`): Who may call, by signed requests.
        allow_unsigned (`bool`, *optional*, defaults to `False`): Take unsigned requests; on a loopback address alone.
        allowed_origins (`tuple[str, ...]`): Origins of clients that run in a browser (CORS).
        host, port: Where the service listens.
        tls (`_TlsFiles`, *optional*): Certificate and key.
        service (`_ServiceText`): Id, title and description.
        hooks_version (`"2.0"` or `"3.0"`): `"3.0"` adds what its ballot has; clients of 2.0 do not know it.
        interventions (`str`, *optional*): Table of suggestions; the one that ships without.
        warn_from (`float`, *optional*): Risk from which a card is a warning.
        smart (`SmartApp`, *optional*): The page that the card links to; no link without.
        limits (`Limits`): What a request may cost.
        speak (`SpeakRules`): When the model may speak.
        metrics (`bool`, *optional*, defaults to `False`): Whether `/metrics` answers.

    Raises:
        ValueError: If a value is out of range, an address is not https, or nobody is trusted.

    Examples:
        >>> config = ServeConfig(base_url="http://127.0.0.1:8080/", outcome="Readmission within 30 days",
        ...                      feedback_file="feedback.jsonl", allow_unsigned=True)
        >>> config.base_url, config.service_url
        ('http://127.0.0.1:8080', 'http://127.0.0.1:8080/cds-services/claims-risk')
        >>> ServeConfig(base_url="http://cds.example.org", outcome="Death", feedback_file="f")
        Traceback (most recent call last):
        ValueError: expected an https address as base_url (http on a loopback address alone), found another
    """

    base_url: str
    outcome: str
    feedback_file: str
    fhir_servers: tuple[str, ...] = ()
    clients: tuple[TrustedClient, ...] = ()
    allow_unsigned: bool = False
    allowed_origins: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8080
    tls: _TlsFiles | None = None
    service: _ServiceText = _ServiceText()
    hooks_version: Literal["2.0", "3.0"] = "2.0"
    interventions: str | None = None
    warn_from: float | None = None
    smart: SmartApp | None = None
    limits: Limits = Limits()
    speak: SpeakRules = SpeakRules()
    metrics: bool = False

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "base_url", check_address(self.base_url, "base_url"))
        servers = tuple(check_address(server, "fhir_servers") for server in self.fhir_servers)
        msgspec.structs.force_setattr(self, "fhir_servers", servers)
        if not 0 < len(self.outcome) <= _MOST_OUTCOME or "\n" in self.outcome:
            raise ValueError(f"expected an outcome of 1 to {_MOST_OUTCOME} characters on one line, found another")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"expected a port from 0 to 65535, found {self.port}")
        if self.warn_from is not None and not 0 < self.warn_from < 1:
            raise ValueError(f"expected warn_from between 0 and 1, found {self.warn_from}")
        if self.allow_unsigned and not _is_loopback(self.host):
            raise ValueError("expected allow_unsigned on a loopback host alone, found another host: list clients")
        if not self.allow_unsigned and not self.clients:
            raise ValueError("expected clients whose signed requests are taken, found none, and no allow_unsigned")
        if len({client.issuer for client in self.clients}) < len(self.clients):
            raise ValueError("expected each issuer of clients once, found one twice")

    @property
    def service_url(self) -> str:
        """`str`: Address of the service, which is the audience of signed requests."""
        return f"{self.base_url}/cds-services/{self.service.id}"


def load_config(path: str | Path) -> ServeConfig:
    """Read `serve.yaml`; files that it names lie beside it.

    Args:
        path (`str` or `Path`): The file.

    Raises:
        OSError: If there is no such file.
        ValueError: If it is no YAML, a name is unknown or missing, or a value does not fit. The message says where.

    Examples:
        >>> load_config("/nowhere/serve.yaml")
        Traceback (most recent call last):
        FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/serve.yaml'
    """
    path = Path(path)
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"expected YAML in UTF-8 in {path.name}, found text that is none") from error
    try:
        config = msgspec.convert(content, ServeConfig)
    except msgspec.ValidationError as error:
        raise ValueError(f"expected a configuration in {path.name}, as docs/serving.md has it: {error}") from error
    return _beside(config, path.parent)


def _beside(config: ServeConfig, folder: Path) -> ServeConfig:
    """The configuration with its files where they are."""

    def place(name: str | None) -> str | None:
        return None if name is None else str(folder / name)

    replace = msgspec.structs.replace
    smart = config.smart
    if smart is not None and smart.secret is not None:
        smart = replace(smart, secret=replace(smart.secret, file=place(smart.secret.file)))
    tls = config.tls and replace(config.tls, certificate=place(config.tls.certificate), key=place(config.tls.key))
    return replace(
        config,
        feedback_file=place(config.feedback_file),
        interventions=place(config.interventions),
        clients=tuple(replace(client, jwks_file=place(client.jwks_file)) for client in config.clients),
        smart=smart,
        tls=tls,
    )


def check_address(address: str, what: str) -> str:
    """An address without its last slash, refused where it is not https, or http on a loopback address."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
    if not is_safe or not host or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"expected an https address as {what} (http on a loopback address alone), found another")
    return address.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""Somebody's browser at the ingress gateway: it says what it is, keeps the cookies that it is given and sends them along."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlencode

from lab_helpers.core.errors import TrafficError
from lab_helpers.istio import gateway
from lab_helpers.istio.gateway import Page

DESK = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = "Mozilla/5.0 (Android 14; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0"
LOGIN = "/login"


@dataclass(frozen=True)
class Answer:
    """What came back on a form that was sent.

    Attributes
    ----------
    command : str
        The same for a terminal.
    status : int
    location, cookie : str
        Where the browser is sent next; the header ``set-cookie``.
    """

    command: str
    status: int
    location: str
    cookie: str

    def __str__(self) -> str:
        told = [f"{name}: {value}" for name, value in (("location", self.location), ("set-cookie", self.cookie)) if value]
        return "\n".join([f"$ {self.command}", str(self.status), *told])

    def __repr__(self) -> str:
        return str(self)


class Browser:
    """A browser without cookies.

    Parameters
    ----------
    lab : Lab
    user_agent : str
        What it says it is.
    """

    def __init__(self, lab, user_agent: str = DESK):
        self.lab, self.user_agent, self.cookies = lab, user_agent, {}

    def page(self, path: str = "/productpage") -> Page:
        """GET one page, with the cookies that it has, and keep those that come with the answer."""
        page = gateway.page(self.lab, path, self._headers())
        self._keep(page.headers.get("set-cookie", ""))
        return page

    def login(self, user: str, password: str = "anything") -> Answer:
        """Send the form in which a user says who he is.

        Raises
        ------
        TrafficError
            The name is no text, the gateway does not answer, or what stands behind it takes no form.
        """
        if not isinstance(user, str) or not user.strip():
            raise TrafficError(f"{user!r} is not a user's name.", "Give some text, such as browser.login('quentin').")
        page, form = f"{self.lab.url}/productpage", {"username": user, "passwd": password}
        sent = {**self._headers(), "referer": page}  # productpage sends the browser back where it came from
        address = f"{self.lab.url}{LOGIN}"
        done = gateway.submit(address, form, sent)
        if done.status != 302 or "set-cookie" not in done.headers:
            raise TrafficError(
                f"{address} answered {done.status}, and gave no cookie.", "Does the VirtualService of the gateway still let /login through?"
            )
        self._keep(done.headers["set-cookie"])
        host = f"--header 'Host: {gateway.host(self.lab)}' " if gateway.host(self.lab) else ""
        command = f"curl --include {host}--referer {page} --data '{urlencode(form)}' {address}"
        return Answer(command, done.status, done.headers.get("location", ""), done.headers["set-cookie"])

    def _headers(self) -> dict[str, str]:
        cookies = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        return gateway.addressed(self.lab, {"user-agent": self.user_agent, **cookies})

    def _keep(self, header: str) -> None:
        try:
            self.cookies |= {name: each.value for name, each in SimpleCookie(header).items()}
        except CookieError:  # a browser drops what is no cookie, and says nothing
            return


def inside(cookie: str) -> dict:
    """What a session cookie of Flask says, which anybody can read: it is signed, and not encrypted.

    Raises
    ------
    TrafficError
        It is none.
    """
    try:
        content = str(cookie).partition(".")[0]
        return json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
    except ValueError:
        raise TrafficError(f"{str(cookie)[:40]!r} is no session cookie.", "Log in first; it is browser.cookies['session'].") from None

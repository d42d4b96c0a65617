#!/usr/bin/env python3
"""A scripted browser: signs a person in at the provider of op.mjs, or at any that needs no form.

    browser.py URL                 follow redirects with cookies, fill the login and consent forms
    browser.py --paste URL         the same on "another machine": print what the CA's page shows, or
                                   the loopback address that could not be reached, and nothing else
    browser.py --show URL          print the text of the last page

The person is $JIT_SSH_TEST_USER (alice). Standard library only. As $BROWSER it returns at once and
goes on in the background, as desktop browsers do, unless $JIT_SSH_TEST_BROWSER_WAIT is set; what
happened is appended to $JIT_SSH_TEST_BROWSER_LOG.
"""
import html
import http.client
import http.cookiejar
import os
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request

USER = os.environ.get("JIT_SSH_TEST_USER", "alice")


class Stay(urllib.request.HTTPRedirectHandler):
    """Redirects are followed by hand, so that one to a dead loopback address can be shown."""

    def redirect_request(self, *_):
        return None


class Browser:
    def __init__(self):
        jar = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(
            rfc2965=False, secure_protocols=("https", "http")))
        tls = ssl.create_default_context(cafile=os.environ.get("JIT_SSH_TEST_CAFILE"))
        if not os.environ.get("JIT_SSH_TEST_CAFILE"):
            # A person would click through the warning for a CA that only the key set vouches for.
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        self.opener = urllib.request.build_opener(
            Stay(), urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(jar), urllib.request.HTTPSHandler(context=tls))
        self.url, self.status, self.text = "", 0, ""

    def fetch(self, url, data=None):
        self.url = url
        body = urllib.parse.urlencode(data).encode() if data is not None else None
        request = urllib.request.Request(url, body, {"User-Agent": "scripted", "Accept": "text/html"})
        try:
            answer = self.opener.open(request, timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        self.status = answer.status
        self.text = answer.read().decode("utf-8", "replace")
        log(f"{self.status} {'POST' if body else 'GET'} {url.split('?')[0]}")
        return answer.headers.get("Location") if 300 <= self.status < 400 else None

    def go(self, url):
        """Goes on until a page asks for nothing any more."""
        location = self.fetch(url)
        for _ in range(25):
            if location:
                location = self.fetch(urllib.parse.urljoin(self.url, location))
                continue
            form = re.search(r"<form[^>]*action=\"([^\"]+)\"", self.text)
            if not form or 'name="prompt"' not in self.text:
                return
            data = dict(re.findall(r'type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', self.text))
            if data.get("prompt") == "login":
                data.update(login=USER, password="any")
            location = self.fetch(urllib.parse.urljoin(self.url, html.unescape(form.group(1))), data)
        raise SystemExit("browser: the provider asks for ever")


def log(line):
    path = os.environ.get("JIT_SSH_TEST_BROWSER_LOG")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(line + "\n")


def words(page):
    page = re.sub(r"(?s)<(script|style)\b.*?</\1>|<!--.*?-->", " ", page)
    return html.unescape(re.sub(r"[ \t]*\n\s*", "\n", re.sub(r"<[^>]+>", " ", page))).strip()


def main():
    mode, url = (sys.argv[1], sys.argv[2]) if len(sys.argv) > 2 else ("--open", sys.argv[1])
    if mode == "--open" and not os.environ.get("JIT_SSH_TEST_BROWSER_WAIT"):
        if os.fork():
            os._exit(0)
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
    browser = Browser()
    try:
        browser.go(url)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        # The address that a real browser would show above "this site can't be reached".
        log(f"failed {error} at {browser.url.split('?')[0]}")
        if mode == "--paste":
            print(browser.url)
            return
        raise SystemExit(f"browser: {error}") from error
    if mode == "--paste":
        shown = re.search(r'id="paste"[^>]*>\s*([^<\s]+)', browser.text)
        if not shown:
            raise SystemExit(f"browser: nothing to paste on {browser.url} ({browser.status}):\n{words(browser.text)}")
        print(html.unescape(shown.group(1)))
    elif mode == "--show":
        print(words(browser.text))
    if browser.status >= 400:
        raise SystemExit(f"browser: {browser.status} from {browser.url}")


if __name__ == "__main__":
    main()

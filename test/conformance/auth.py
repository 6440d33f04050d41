"""pyfirecrest's ways to prove who one is, on both APIs where it can."""

from __future__ import annotations

import inspect
import json
import os
import shlex
import sys
import urllib.parse
import urllib.request

import firecrest
from firecrest import v1, v2
from judge import MACHINE, Site, Suite, equal, refused, site_from_environment

suite = Suite()
case = suite.case
used: set = set()


def works(site: Site, authorization, on_v1: bool = True) -> None:
    used.add(type(authorization).__name__)
    if on_v1:
        equal([system["system"] for system in v1.Firecrest(site.v1_url, authorization).all_systems()], [MACHINE])
    equal([system["name"] for system in v2.Firecrest(site.v2_url, authorization).systems()], [MACHINE])


@case
def secret_in_the_form(site: Site, _):
    """a client secret in the form, with its token kept"""
    authorization = firecrest.ClientCredentialsAuth(site.client_id, site.client_secret, site.token_url)
    works(site, authorization)
    equal(authorization.get_access_token(), authorization.get_access_token())


@case
def secret_in_basic(site: Site, _):
    """a client secret in HTTP Basic"""
    works(site, firecrest.ClientCredentialsAuth(
        site.client_id, site.client_secret, site.token_url, client_auth_method="client_secret_basic"
    ))


@case
def command(site: Site, _):
    """a token that a command prints"""
    form = {"grant_type": "client_credentials", "client_id": site.client_id, "client_secret": site.client_secret}
    with urllib.request.urlopen(site.token_url, urllib.parse.urlencode(form).encode()) as answer:
        token = json.load(answer)["access_token"]
    works(site, firecrest.TokenCommandAuth(shlex.join([sys.executable, "-c", f"print({token!r})"])))


@case
def api_key(site: Site, _):
    """an API key in a header of every request, for which the client for v1 has no way"""
    works(site, firecrest.ApiKeyAuth(json.loads(os.environ["FIRECREST_SITE"])["apiKey"]), on_v1=False)


@case
def wrong_ones(site: Site, _):
    """a wrong secret, key or token is refused"""
    wrong = firecrest.ClientCredentialsAuth(site.client_id, "wrong", site.token_url)
    refused(firecrest.ClientsCredentialsException, lambda: v1.Firecrest(site.v1_url, wrong).all_systems())
    key = firecrest.ApiKeyAuth("wrong")
    refused(firecrest.UnexpectedStatusException, lambda: v2.Firecrest(site.v2_url, key).systems(), "401")


@case
def everything(site: Site, _):
    """every way that the package has was used"""
    ways = {
        name for name, kind in inspect.getmembers(firecrest, inspect.isclass) if kind.__module__ == "firecrest.Authorization"
    }
    equal(sorted(ways - used), [])


if __name__ == "__main__":
    suite.run(site_from_environment(), None)

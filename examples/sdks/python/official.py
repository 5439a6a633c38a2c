"""Amazon's own SDK for Python (amzn-sp-api): where the application builds its
clients."""

from spapi import SPAPIClient, SPAPIConfig
from spapi.auth.lwa_request import AccessTokenCache

VAULT = "http://127.0.0.1:8100/v1/spapi/lwa"


def client_of(account, region="EU"):
    """Client id and secret are not looked at, nor is the refresh token; none of
    them may be empty."""
    config = SPAPIConfig(
        client_id="in-vault",
        client_secret="in-vault",
        refresh_token=account,
        region=region,
    )
    return SPAPIClient(config, oauth_endpoint=f"{VAULT}/token/{account}")


def grantless_client(account, region="EU"):
    """For operations without a selling partner, such as createDestination.
    SPAPIClient takes no scope and asks for an account's token first, so the
    source of its tokens is replaced."""
    client = client_of(account, region)
    client.api_client.configuration.access_token_cache = AccessTokenCache(
        client_id="in-vault",
        client_secret="in-vault",
        grant_type="client_credentials",
        scope="sellingpartnerapi::notifications",
        oauth_endpoint=f"{VAULT}/grantless/notifications",
    )
    return client

"""python-amazon-sp-api: where the application builds its API objects.

    Orders(**vault("acme")).get_orders(...)
"""

from sp_api.auth import AccessTokenClient

VAULT = "127.0.0.1:8100"


class VaultLwa(AccessTokenClient):
    scheme, host = "http://", VAULT

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.path = "/v1/spapi/lwa/token/" + self.cred.refresh_token

    def _request(self, url, data, headers):
        # The library has one URL for both grants.
        if data["grant_type"] == "client_credentials":
            url = f"http://{VAULT}/v1/spapi/lwa/grantless/notifications"
        return super()._request(url, data, headers)


def vault(account):
    """The library keeps tokens by their refresh token alone: the account's name
    stands for it, so that no account is given another's."""
    return {
        "auth_token_client_class": VaultLwa,
        "credentials": {
            "refresh_token": account,
            "lwa_app_id": "in-vault",
            "lwa_client_secret": "in-vault",
        },
    }

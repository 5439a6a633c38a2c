# A public site on which sellers authorize the application. Its Vault token can
# make links and complete authorizations, and nothing else: it reads no account and
# no token, and cannot replace the authorization of an account that exists.
path "spapi/authorize/url" {
  capabilities      = ["update"]
  denied_parameters = {
    "reauthorize" = []
    "force"       = []
  }
}

path "spapi/authorize/callback" {
  capabilities = ["update"]
}

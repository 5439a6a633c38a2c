# A site for sellers who are signed in to it, and on which they renew the
# authorization of the account that is theirs. Whose account that is, the site has to know: with
# this token it may ask for any account. Another selling partner than the account's
# is refused all the same.
path "spapi/authorize/url" {
  capabilities      = ["update"]
  denied_parameters = {
    "force" = []
  }
}

path "spapi/authorize/callback" {
  capabilities = ["update"]
}

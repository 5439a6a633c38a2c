# A site for sellers who are signed in to it, and on which they renew the
# authorization of the account that is theirs. Whose account that is, the site has to
# know: with this token it may ask for any account that has a selling partner id. A
# seller who signs in at Amazon with another selling account is refused.
path "spapi/authorize/url" {
  capabilities      = ["update"]
  denied_parameters = {
    "force" = []
  }
}

path "spapi/authorize/callback" {
  capabilities = ["update"]
}

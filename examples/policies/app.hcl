# An application that works for one selling account. It reads access tokens of
# "acme" and nothing else.
path "spapi/token/acme" {
  capabilities = ["read"]
}

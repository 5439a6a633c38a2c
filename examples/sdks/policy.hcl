# What the proxy's Vault token may do. Everybody on the host who reaches the
# proxy may do the same, so name what the application needs and nothing else.

# Access tokens of "acme", in the shape of Login with Amazon's answer.
path "spapi/lwa/token/acme" {
  capabilities = ["update"]
}

# Only for operations without a selling partner, such as createDestination.
path "spapi/lwa/grantless/notifications" {
  capabilities = ["update"]
}

# Only for personal data, with a role that an operator has written:
#
# path "spapi/restricted/shipping/acme" {
#   capabilities = ["read"]
# }

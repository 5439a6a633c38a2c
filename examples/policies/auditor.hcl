# Those who look but do not touch: names, regions, states and expiry dates of
# the accounts, and which personal data the roles open. Neither tokens nor the
# application.
path "spapi/accounts" {
  capabilities = ["list"]
}

path "spapi/accounts/*" {
  capabilities = ["read"]
}

path "spapi/roles" {
  capabilities = ["list"]
}

path "spapi/roles/*" {
  capabilities = ["read"]
}

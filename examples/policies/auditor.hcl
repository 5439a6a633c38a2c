# Those who look but do not touch: names, regions, states and expiry dates of
# the accounts. Neither tokens nor the application.
path "spapi/accounts" {
  capabilities = ["list"]
}

path "spapi/accounts/*" {
  capabilities = ["read"]
}

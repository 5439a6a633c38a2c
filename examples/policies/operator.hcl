# Those who run the mount: they write the application, the accounts and the roles,
# and see which account is in which state. They never need a token.
path "spapi/config" {
  capabilities = ["create", "read", "update", "patch", "delete"]

  # What everyday work does not need: another application under the same
  # accounts, and other endpoints (those that the registration allows).
  denied_parameters = {
    "force"           = []
    "lwa_endpoint"    = []
    "sp_api_endpoint" = []
  }
}

path "spapi/accounts" {
  capabilities = ["list"]
}

path "spapi/accounts/*" {
  capabilities = ["create", "read", "update", "patch", "delete"]
}

# What restricted data tokens may open, and for which accounts.
path "spapi/roles" {
  capabilities = ["list"]
}

path "spapi/roles/*" {
  capabilities = ["create", "read", "update", "patch", "delete"]
}

path "spapi/info" {
  capabilities = ["read"]
}

# Each wins over another policy that grants this same path, but not over one that
# names a single account: give operators none of those.
path "spapi/token/*" {
  capabilities = ["deny"]
}

path "spapi/restricted/*" {
  capabilities = ["deny"]
}

path "spapi/grantless/*" {
  capabilities = ["deny"]
}

path "spapi/lwa/*" {
  capabilities = ["deny"]
}

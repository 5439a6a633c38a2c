# Whoever moves accounts into Vault with "spapictl import", for as long as that
# takes: writes the application and the accounts, and reads no token.
path "spapi/config" {
  capabilities = ["create", "read"]
}

path "spapi/accounts" {
  capabilities = ["list"]
}

path "spapi/accounts/" {
  capabilities = ["list"]
}

path "spapi/accounts/*" {
  capabilities = ["create", "update"]
}

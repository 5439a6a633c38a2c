# For the person who imports: can write the application and its accounts, and see
# which accounts there are. No token can be read.
path "spapi/config" {
  capabilities = ["create", "read"]
}

path "spapi/accounts" {
  capabilities = ["list"]
}

path "spapi/accounts/" {
  capabilities = ["list"]
}

path "spapi/accounts/+" {
  capabilities = ["create", "update"]
}

# One policy for all applications: Vault fills in the account from the identity
# of whoever reads.
#
# Keep one of the three. Whoever may write what the template refers to
# (identity/entity/*, or the users of an auth method) chooses the account.

# 1. By metadata of the entity:
#    vault write identity/entity/name/orders metadata=spapi_account=acme
path "spapi/token/{{identity.entity.metadata.spapi_account}}" {
  capabilities = ["read"]
}

# 2. By the name of the entity, where that is the name of the account:
#    vault write identity/entity/name/acme metadata=team=orders
#
# path "spapi/token/{{identity.entity.name}}" {
#   capabilities = ["read"]
# }

# 3. By the name that an auth method gives, such as a user name. Replace the
#    accessor by that of your auth method: vault auth list
#
# path "spapi/token/{{identity.entity.aliases.auth_userpass_12345678.name}}" {
#   capabilities = ["read"]
# }

# An application that opens personal data of one selling account. It reads
# restricted data tokens of "acme" for what the role "shipping" names, and nothing
# else. What that is, and for which accounts, the operator says:
#
#   vault write spapi/roles/shipping restricted_resources=@shipping.json allowed_accounts=acme
#
# For calls that the role does not name, it needs app.hcl as well.
path "spapi/restricted/shipping/acme" {
  capabilities = ["read"]
}

# One policy for all applications, as in app-templated.hcl:
#
# path "spapi/restricted/shipping/{{identity.entity.metadata.spapi_account}}" {
#   capabilities = ["read"]
# }

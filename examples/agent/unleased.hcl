# vault agent -config=unleased.hcl
#
# The same for an account with generate_lease=false:
#
#   vault patch spapi/accounts/acme generate_lease=false
#
# No lease is written. Agent sleeps for the "ttl" of the answer, because a
# "rotation_period" stands beside it, and then reads a newer token. The template
# is the same one.

vault {
  address = "https://vault.example.com:8200"
}

auto_auth {
  method "approle" {
    config = {
      role_id_file_path   = "/etc/spapi/role-id"
      secret_id_file_path = "/etc/spapi/secret-id"

      # Agent has to log in again when its Vault token ends.
      remove_secret_id_file_after_reading = false
    }
  }
}

template {
  source      = "/etc/spapi/token.json.ctmpl"
  destination = "/run/spapi/token.json"
  perms       = "0600"
}

# vault agent -config=leased.hcl
#
# Keeps token.json up to date, for an account with generate_lease=true (the
# default). Agent reads again when about 90% of the lease has passed.

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

  # Only if the application does not look at the file before each call:
  # exec {
  #   command = ["systemctl", "reload", "orders.service"]
  # }
}

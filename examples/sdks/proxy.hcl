# vault proxy -config=proxy.hcl
#
# Gives SDKs on this host access tokens from the endpoint that they take for
# Login with Amazon's. They hold no Vault token, no refresh token and no client
# secret:
#
#   http://127.0.0.1:8100/v1/spapi/lwa/token/acme
#   http://127.0.0.1:8100/v1/spapi/lwa/grantless/notifications

vault {
  address = "https://vault.example.com:8200"

  # Without this the proxy repeats an answer of 429 or 5xx twelve times, and an
  # SDK waits for over 40 seconds before it learns that Amazon is down.
  retry {
    num_retries = -1
  }
}

auto_auth {
  method "approle" {
    config = {
      role_id_file_path   = "/etc/spapi/role-id"
      secret_id_file_path = "/etc/spapi/secret-id"

      # The proxy has to log in again when its Vault token ends.
      remove_secret_id_file_after_reading = false
    }
  }
}

# Adds the proxy's Vault token to each request: whoever reaches the listener may
# do what its policy allows. Keep to policy.hcl, and to loopback.
api_proxy {
  use_auto_auth_token = true
}

listener "tcp" {
  address     = "127.0.0.1:8100"
  tls_disable = true
}

# In place of the TCP listener, for SDKs whose HTTP client can be told to use a
# socket: only members of the group can connect.
#
# listener "unix" {
#   address      = "/run/spapi/lwa.sock"
#   socket_mode  = "0660"
#   socket_group = "orders"
#   tls_disable  = true
# }

# frozen_string_literal: true

# peddler: its API objects take an access token.

require "peddler"
require_relative "vault_lwa"

orders = Peddler.orders_v0.new("eu-west-1", VaultLWA.token("acme"))
puts orders.get_orders(["A1PA6795UKMFR9"], created_after: "2026-01-01").status

notifications = Peddler.notifications_v1.new("eu-west-1", VaultLWA.grantless)
puts notifications.get_destinations.status

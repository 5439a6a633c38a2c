# frozen_string_literal: true

# muffin_man: in an initializer. access_token_cache_key is the account's name.

require "muffin_man"
require_relative "vault_lwa"

MuffinMan.configure do |config|
  config.get_access_token = ->(account) { VaultLWA.token(account) }
  # Never called, since there is always a token; without it the other is not.
  config.save_access_token = ->(_account, _token) {}
end

# Grantless tokens have no such lambda.
MuffinMan::SpApiClient.prepend(Module.new do
  private

  def retrieve_grantless_access_token
    VaultLWA.grantless
  end
end)

credentials = { refresh_token: "acme", client_id: "in-vault", client_secret: "in-vault", region: "eu", access_token_cache_key: "acme" }
puts MuffinMan::Sellers::V1.new(credentials).marketplace_participations.code

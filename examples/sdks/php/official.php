<?php

// Amazon's own SDK for PHP (amzn-spapi/sdk): where the application builds its
// API objects.

use SpApi\Api\orders\v0\OrdersV0Api;
use SpApi\AuthAndAuth\LWAAuthorizationCredentials;
use SpApi\Configuration;

const VAULT = 'http://127.0.0.1:8100/v1/spapi/lwa';

// Client id and secret are not looked at. The refresh token is part of the SDK's
// cache key: one for each account.
function ordersOf(string $account): OrdersV0Api
{
    $credentials = new LWAAuthorizationCredentials([
        'clientId' => 'in-vault',
        'clientSecret' => 'in-vault',
        'refreshToken' => $account,
        'endpoint' => VAULT . '/token/' . $account,
    ]);
    $config = new Configuration([], $credentials);
    $config->setHost('https://sellingpartnerapi-eu.amazon.com');

    return new OrdersV0Api($config, new GuzzleHttp\Client());
}

// For operations without a selling partner, such as createDestination.
function grantless(): LWAAuthorizationCredentials
{
    return new LWAAuthorizationCredentials([
        'clientId' => 'in-vault',
        'clientSecret' => 'in-vault',
        'scopes' => ['sellingpartnerapi::notifications'],
        'endpoint' => VAULT . '/grantless/notifications',
    ]);
}

<?php

// jasara/php-amzn-selling-partner-api: build the config anew for each piece of
// work. The URL of the token endpoint is fixed there, so the token goes in; the
// library gives up 5 minutes before its end, since it has no refresh token.

use Carbon\CarbonImmutable;
use Jasara\AmznSPA\AmznSPAConfig;

const VAULT = 'http://127.0.0.1:8100/v1/spapi/lwa';

function vaultExchange(string $path, string $grantType): array
{
    $answer = file_get_contents(VAULT . $path, false, stream_context_create(['http' => [
        'method' => 'POST',
        'header' => 'Content-Type: application/x-www-form-urlencoded',
        'content' => http_build_query(['grant_type' => $grantType]),
        'ignore_errors' => true,
    ]]));
    $members = json_decode((string) $answer, true, 512, JSON_THROW_ON_ERROR);
    if (!isset($members['access_token'])) {
        throw new RuntimeException('Vault answered: ' . $answer);
    }

    return $members;
}

function configOf(string $account, string $marketplaceId, string $applicationId): AmznSPAConfig
{
    $token = vaultExchange('/token/' . $account, 'refresh_token');

    return new AmznSPAConfig(
        marketplace_id: $marketplaceId,
        application_id: $applicationId,
        lwa_access_token: $token['access_token'],
        lwa_access_token_expires_at: CarbonImmutable::now()->addSeconds($token['expires_in']),
    );
}

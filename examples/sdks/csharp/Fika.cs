// FikaAmazonAPI (abuzuhri/Amazon-SP-API-CSharp): call UseVault before each piece
// of work. The URL of the token endpoint is fixed there, so the token goes in.

using System;
using System.Collections.Generic;
using System.Net.Http;
using System.Threading.Tasks;
using FikaAmazonAPI;
using FikaAmazonAPI.AmazonSpApiSDK.Models.Token;
using Newtonsoft.Json;
using static FikaAmazonAPI.AmazonSpApiSDK.Models.Token.CacheTokenData;

static class Fika
{
    const string Vault = "http://127.0.0.1:8100/v1/spapi/lwa";
    static readonly HttpClient Http = new HttpClient();

    // Vault answers from memory: ask often. The library itself keeps a token until
    // a minute before its end, and would then ask Amazon with the placeholders.
    public static async Task UseVault(AmazonCredential credential, string account)
    {
        credential.SetToken(TokenDataType.Normal, await Exchange("/token/" + account, "refresh_token"));
    }

    public static async Task UseVaultGrantless(AmazonCredential credential)
    {
        credential.SetToken(TokenDataType.Grantless, await Exchange("/grantless/notifications", "client_credentials"));
    }

    static async Task<TokenResponse> Exchange(string path, string grantType)
    {
        using var form = new FormUrlEncodedContent(new Dictionary<string, string> { { "grant_type", grantType } });
        using var answer = await Http.PostAsync(Vault + path, form);
        var body = await answer.Content.ReadAsStringAsync();
        if (!answer.IsSuccessStatusCode)
        {
            throw new InvalidOperationException($"Vault answered {(int)answer.StatusCode}: {body}");
        }
        return JsonConvert.DeserializeObject<TokenResponse>(body);
    }
}

// Amazon's own SDK for C# (software.amzn.spapi): where the application builds
// its API objects.

using System;
using System.Collections.Generic;
using software.amzn.spapi.Api.notifications.v1;
using software.amzn.spapi.Api.orders.v0;
using software.amzn.spapi.Auth;

static class OfficialSdk
{
    const string Vault = "http://127.0.0.1:8100/v1/spapi/lwa";

    // Client id and secret are not looked at. No query in the URL: the SDK drops it.
    static LWAAuthorizationCredentials At(string path) => new LWAAuthorizationCredentials
    {
        ClientId = "in-vault",
        ClientSecret = "in-vault",
        Endpoint = new Uri(Vault + path),
    };

    // The SDK keeps a token for an hour, whatever expires_in says.
    public static OrdersV0Api Orders(string account)
    {
        var credentials = At("/token/" + account);
        credentials.RefreshToken = account;
        return new OrdersV0Api.Builder().SetLWAAuthorizationCredentials(credentials).Build();
    }

    // For operations without a selling partner, such as CreateDestination.
    public static NotificationsApi Notifications()
    {
        var credentials = At("/grantless/notifications");
        credentials.Scopes = new List<string> { "sellingpartnerapi::notifications" };
        return new NotificationsApi.Builder().SetLWAAuthorizationCredentials(credentials).Build();
    }
}
